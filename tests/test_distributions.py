"""Each service is a distribution of its own: it starts without the others, and declares what it imports."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from relata_local.services import SERVICES

ROOT = Path(__file__).parents[1]
PROJECTS = [*sorted(ROOT.glob("shared/*/")), *sorted(ROOT.glob("services/*-service")), *sorted(ROOT.glob("deploy/*/"))]
SHARED = ("shared/crm-contracts/src", "shared/crm-shared/src")
DISTRIBUTIONS = [project for project in PROJECTS if (project / "pyproject.toml").exists()]

# Without `site`, the editable installs of this environment are not on the path: what remains is given here.
START = """
import sys
sys.path[:0] = sys.argv[2:]
__import__(f"{sys.argv[1]}_service.main")
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def start(service: str, *sources: str) -> subprocess.CompletedProcess[str]:
    """Import a service's `main` where only these folders, the standard library and packages of others exist."""
    path = [*(str(ROOT / source) for source in sources), sysconfig.get_path("purelib")]
    return subprocess.run(
        [sys.executable, "-S", "-I", "-c", START, service, *path], capture_output=True, text=True, check=False
    )


def imported(source: Path) -> set[str]:
    """The top-level packages that the modules below a folder import, wherever in the module."""

    def names(tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                yield node.module

    modules = (ast.parse(path.read_text(encoding="utf-8")) for path in source.glob("**/*.py"))
    return {name.partition(".")[0] for module in modules for name in names(module)} - sys.stdlib_module_names


def brought(name: str, *extras: str) -> set[str]:
    """The distributions that installing one with these extras brings, itself among them."""
    found: dict[tuple[str, frozenset[str]], None] = {}
    wanted = [Requirement(f"{name}[{','.join(extras)}]")]
    while wanted:
        requirement = wanted.pop()
        one = (normalised(requirement.name), frozenset(requirement.extras))
        if one in found:
            continue
        found[one] = None
        try:
            needs = distribution(requirement.name).requires or []
        except PackageNotFoundError:
            continue  # an extra that this environment does without
        for needed in map(Requirement, needs):
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in requirement.extras | {""}
            ):
                wanted.append(needed)
    return {name for name, _ in found}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_where_no_other_exists(service: str) -> None:
    started = start(service, *SHARED, f"services/{service}-service/src")

    assert started.returncode == 0, started.stderr
    others = {f"{other}_service" for other in SERVICES if other != service} | {"relata_local"}
    assert others.isdisjoint(started.stdout.split())


def test_without_its_own_distribution_a_service_is_not_found() -> None:
    started = start("contacts", *SHARED)

    assert "No module named 'contacts_service'" in started.stderr


@pytest.mark.parametrize("project", DISTRIBUTIONS, ids=lambda project: project.name)
def test_a_distribution_declares_what_it_imports(project: Path) -> None:
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    available = brought(declared["name"], *declared.get("optional-dependencies", {}))

    # What is not installed here belongs to an extra that this environment does without.
    owners = {
        **packages_distributions(),
        **{one.name: [one.name] for folder in DISTRIBUTIONS for one in folder.glob("src/*")},
    }
    undeclared = {
        name
        for name in imported(project / "src") & owners.keys()
        if available.isdisjoint(map(normalised, owners[name]))
    }

    assert undeclared == set()
