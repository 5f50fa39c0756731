"""Every service has the same rooms, and every line of it is in one of them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path for path in (ROOT / "services").glob("*-service") if path.is_dir())
# A room is a module while it is small and a package after that.
ROOMS = {"domain", "application", "publishing", "policies", "projections", "queries", "api", "main"}
WRITING = {"domain", "application", "publishing"}

each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def rooms(service: Path) -> set[str]:
    package = service / "src" / service.name.replace("-", "_")
    return {path.stem for path in package.iterdir() if path.name not in ("__init__.py", "__pycache__", "py.typed")}


@each_service
def test_a_service_has_no_room_that_the_architecture_does_not_know(service: Path) -> None:
    own_language = {"conditions", "facts", "scores"}

    assert rooms(service) - own_language <= ROOMS


@each_service
def test_a_service_owns_events_whole_or_not_at_all(service: Path) -> None:
    found = rooms(service)

    assert {"projections", "queries", "api", "main"} <= found
    assert found >= WRITING or WRITING.isdisjoint(found)


@each_service
def test_a_service_says_how_it_is_installed_tested_and_used(service: Path) -> None:
    for part in ("pyproject.toml", "README.md", "tests", f"src/{service.name.replace('-', '_')}/py.typed"):
        assert (service / part).exists(), part
