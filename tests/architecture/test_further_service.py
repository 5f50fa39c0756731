"""A further service costs one folder, and the module of its public events: everything else finds it by itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


class Copy:
    """A copy of the repository with one more service, `loyalty`: that of feedback under another name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = folder / "installed"
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
        for name in filter(None, listed.decode().split("\0")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).exists():  # also what is about to be committed as deleted is listed
                shutil.copyfile(ROOT / name, target)
        shutil.copytree(folder / "services/feedback-service", folder / "services/loyalty-service")
        service = folder / "services/loyalty-service"
        (service / "src/feedback_service").rename(service / "src/loyalty_service")
        events = folder / "shared/crm-contracts/src/crm_contracts/events"
        shutil.copyfile(events / "feedback.py", events / "loyalty.py")
        for path in [*service.rglob("*"), events / "loyalty.py"]:
            if path.suffix in (".py", ".toml", ".md"):
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace("feedback", "loyalty").replace("8104", "8106"), encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """What Python prints, with the copy's packages before those that are installed here."""
        sources = [str(path) for part in ("shared", "services", "deploy") for path in self.folder.glob(f"{part}/*/src")]
        path = os.pathsep.join([str(self.installed), *sources, str(self.folder)])
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("repository"))


def test_the_catalogue_finds_its_events_and_the_tools_write_their_schemas(copy: Copy) -> None:
    copy.run("-m", "crm_contracts.tooling.schemas", "--write")
    copy.run("-m", "crm_contracts.tooling.docs", "--write")

    assert "'loyalty'" in copy.run("-c", "from crm_contracts.catalogue import services; print(services())")
    assert (
        copy.folder / "shared/crm-contracts/src/crm_contracts/schema_files/loyalty/SurveyAnswered/1.0.json"
    ).exists()
    assert "crm.loyalty.events.v1" in (copy.folder / "docs/reference/asyncapi.yaml").read_text(encoding="utf-8")


def test_the_import_rules_hold_it_to_its_rooms(copy: Copy) -> None:
    copy.run("tests/architecture/imports.py")

    domain = copy.folder / "services/loyalty-service/src/loyalty_service/domain/survey.py"
    kept = domain.read_text(encoding="utf-8")
    domain.write_text(f"{kept}\nimport feedback_service.scores\nimport pymongo\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"loyalty_service\.domain\.survey -> pymongo"):
        copy.run("tests/architecture/imports.py")
    domain.write_text(kept, encoding="utf-8")


def test_its_own_rules_and_the_architectures_tests_run(copy: Copy) -> None:
    pytest_arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not servers and not slow")

    said = copy.run(*pytest_arguments, "services/loyalty-service", "tests/architecture/test_rooms.py")

    assert " passed" in said


def test_the_local_stack_starts_what_is_installed(copy: Copy) -> None:
    install = ("--quiet", "--no-deps", "--no-build-isolation", "--target", str(copy.installed))
    copy.run("-m", "pip", "install", *install, str(copy.folder / "services/loyalty-service"))

    listed = copy.run(
        "-c", "from relata_local.services import INSTALLED as i; print({n: one.port for n, one in i.items()})"
    )

    assert "'loyalty': 8106" in listed
    assert copy.run("-m", "loyalty_service.main", "--help").startswith("usage: loyalty-service")
