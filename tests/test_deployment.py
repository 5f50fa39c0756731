"""docker-compose.yml, the Dockerfiles and the locks agree with the code that they deploy."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from crm_shared.settings import Settings
from relata_local.services import FIRST_PORT, SERVICES

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVERS = {"kafka", "mongodb", "postgres"}
PORTS = {service: FIRST_PORT + number for number, service in enumerate(SERVICES)}
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECTS = sorted(
    [
        *ROOT.glob("shared/*/pyproject.toml"),
        *ROOT.glob("services/*/pyproject.toml"),
        *ROOT.glob("deploy/*/pyproject.toml"),
    ]
)
OURS = {tomllib.loads(project.read_text(encoding="utf-8"))["project"]["name"] for project in PROJECTS}

each_service = pytest.mark.parametrize("service", SERVICES)
each_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)


def dockerfile(service: str) -> str:
    return (ROOT / "services" / f"{service}-service" / "Dockerfile").read_text(encoding="utf-8")


def instructions(service: str, name: str) -> list[str]:
    """The arguments of each instruction of this name, continuation lines joined."""
    joined = dockerfile(service).replace("\\\n", " ")
    return [line.removeprefix(f"{name} ") for line in joined.splitlines() if line.startswith(f"{name} ")]


def pinned(lock: Path) -> dict[str, set[str]]:
    """The versions that a lock has of each distribution; more than one where systems or Pythons differ."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_compose_runs_every_service_of_the_repository_and_the_three_servers() -> None:
    folders = {path.name.removesuffix("-service") for path in (ROOT / "services").glob("*-service")}

    assert set(COMPOSE["services"]) == folders | SERVERS
    assert folders == set(SERVICES)


@each_service
def test_compose_gives_services_only_settings_that_they_have(service: str) -> None:
    known = {name.upper() for name in Settings.model_fields}

    assert set(COMPOSE["services"][service]["environment"]) <= known


@each_service
def test_a_service_reaches_its_stores_by_the_names_that_compose_gives_them(service: str) -> None:
    composed = COMPOSE["services"][service]
    environment = composed["environment"]

    assert environment["KAFKA_BOOTSTRAP_SERVERS"] == "kafka:19092"
    assert "INTERNAL://kafka:19092" in COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert environment["MONGODB_URI"].startswith("mongodb://mongodb:27017/")
    assert environment.get("POSTGRES_HOST", "postgres") == "postgres"
    needed = SERVERS if "POSTGRES_HOST" in environment else SERVERS - {"postgres"}
    assert composed["depends_on"] == {server: {"condition": "service_healthy"} for server in needed}


def test_the_one_service_without_an_event_store_is_not_told_where_one_is() -> None:
    without = {service for service in SERVICES if "POSTGRES_HOST" not in COMPOSE["services"][service]["environment"]}

    assert without == {"customer360"}


def test_postgres_is_made_with_the_database_and_user_that_services_ask_for() -> None:
    made = COMPOSE["services"]["postgres"]["environment"]
    asked = COMPOSE["services"]["contacts"]["environment"]

    assert made == {
        "POSTGRES_DB": asked["POSTGRES_DBNAME"],
        "POSTGRES_USER": asked["POSTGRES_USER"],
        "POSTGRES_PASSWORD": asked["POSTGRES_PASSWORD"],
    }


def test_the_broker_makes_no_topic_that_nobody_asked_for() -> None:
    assert COMPOSE["services"]["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_images_of_others_have_a_version() -> None:
    for server in SERVERS:
        _, _, tag = COMPOSE["services"][server]["image"].partition(":")
        assert re.match(r"\d", tag), COMPOSE["services"][server]["image"]


def test_every_port_is_on_loopback_only() -> None:
    published = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}

    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert {name: f"127.0.0.1:{port}:{port}" for name, port in PORTS.items()} == {
        name: ports[0] for name, ports in published.items() if name in SERVICES
    }


def test_everything_keeps_its_data_in_a_named_volume_and_says_when_it_is_healthy() -> None:
    for server in SERVERS:
        composed = COMPOSE["services"][server]
        assert composed["volumes"][0].partition(":")[0] in COMPOSE["volumes"]
        assert composed["healthcheck"]["test"]
    assert set(COMPOSE["volumes"]) == SERVERS


@each_service
def test_compose_builds_a_service_from_its_own_dockerfile(service: str) -> None:
    assert COMPOSE["services"][service]["build"] == {
        "context": ".",
        "dockerfile": f"services/{service}-service/Dockerfile",
    }


@each_service
def test_what_a_dockerfile_copies_exists_and_names_no_other_service(service: str) -> None:
    copied = [word for line in instructions(service, "COPY") if "--from" not in line for word in line.split()[:-1]]

    assert "shared/" in copied
    assert all((ROOT / source).exists() for source in copied)
    others = [other for other in SERVICES if other != service and f"{other}-service" in dockerfile(service)]
    assert others == []


@each_service
def test_an_image_has_a_pinned_base_an_unprivileged_user_and_a_health_check(service: str) -> None:
    bases = [line.split()[0] for line in instructions(service, "FROM")]

    assert all(re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base) for base in bases)
    assert instructions(service, "USER") == ["10001:10001"]
    assert "/readyz" in instructions(service, "HEALTHCHECK")[0]


@each_service
def test_an_image_starts_its_service_with_all_roles_on_its_port(service: str) -> None:
    project = tomllib.loads((ROOT / f"services/{service}-service/pyproject.toml").read_text(encoding="utf-8"))

    assert instructions(service, "ENTRYPOINT") == [f'["{service}-service"]']
    assert instructions(service, "CMD") == ['["run"]']
    assert f"{service}-service" in project["project"]["scripts"]
    assert instructions(service, "EXPOSE") == [str(PORTS[service])]
    assert f"HTTP_PORT={PORTS[service]}" in instructions(service, "ENV")[-1]


def test_every_dockerfile_says_the_same_of_its_own_service() -> None:
    generic = {
        dockerfile(service).replace(f"{service}_service", "NAME").replace(service, "NAME").replace(str(port), "PORT")
        for service, port in PORTS.items()
    }

    assert len(generic) == 1


@each_lock
def test_a_lock_holds_pins_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    requirements = [part for part in re.split(r"\n(?! )", text) if part and not part.startswith("#")]

    assert requirements
    assert all("==" in one and "--hash=sha256:" in one for one in requirements)
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.parent.name)
def test_the_locks_have_what_each_distribution_asks_for(project: Path) -> None:
    declared = tomllib.loads(project.read_text(encoding="utf-8"))
    asked = [*declared["project"]["dependencies"], *declared["build-system"]["requires"]]
    locks = [pinned(ROOT / "requirements" / "dev.txt")]
    if "services" in project.parts:
        locks.append(pinned(ROOT / "requirements" / "runtime.txt") | pinned(ROOT / "requirements" / "build.txt"))

    for requirement in map(Requirement, asked):
        if requirement.name in OURS:
            continue
        for lock in locks:
            versions = lock.get(normalised(requirement.name), set())
            assert any(requirement.specifier.contains(version, prereleases=True) for version in versions), requirement


def test_images_and_developers_run_the_same_versions() -> None:
    developers = pinned(ROOT / "requirements" / "dev.txt")
    images = pinned(ROOT / "requirements" / "runtime.txt") | pinned(ROOT / "requirements" / "build.txt")

    assert {name: developers.get(name) for name in images} == images
