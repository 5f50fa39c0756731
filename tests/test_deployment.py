"""docker-compose.yml, the image file and the locks agree with the code that they deploy."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from crm_shared.settings import Settings
from relata_local.services import SERVICES

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVERS = {"kafka", "mongodb", "postgres"}
DEFINITIONS = {service: import_module(f"{service}_service.main").DEFINITION for service in SERVICES}
IMAGE_FILE = ROOT / "deploy" / "images" / "Dockerfile"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECTS = sorted(
    project for folder in ("shared", "services", "deploy") for project in ROOT.glob(f"{folder}/*/pyproject.toml")
)
OURS = {tomllib.loads(project.read_text(encoding="utf-8"))["project"]["name"] for project in PROJECTS}

each_service = pytest.mark.parametrize("service", SERVICES)
each_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name in the image file, continuation lines joined."""
    joined = IMAGE_FILE.read_text(encoding="utf-8").replace("\\\n", "")
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
    assert set(SERVICES) == folders


def test_a_service_differs_in_compose_by_its_name_its_port_and_whether_it_owns_events() -> None:
    own = {"image", "build", "ports"}
    shared = {
        json.dumps({name: value for name, value in COMPOSE["services"][service].items() if name not in own})
        for service in SERVICES
    }

    assert len(shared) == 2


@each_service
def test_compose_gives_services_only_settings_that_they_have(service: str) -> None:
    known = {name.upper() for name in Settings.model_fields}

    assert set(COMPOSE["services"][service]["environment"]) <= known


@each_service
def test_a_service_in_compose_is_one_process_and_therefore_has_a_fixed_place_in_its_consumer_groups(
    service: str,
) -> None:
    composed = COMPOSE["services"][service]

    assert Settings(kafka_group_instance_id=composed["environment"]["KAFKA_GROUP_INSTANCE_ID"])
    assert not {"scale", "deploy"} & set(composed)
    # Members of a group need ids of their own; these belong to one service each.
    definition = DEFINITIONS[service]
    groups = [one.name for one in (*definition.projections, *definition.policies)]
    assert [group for group in groups if not group.startswith(f"{service}-service.")] == []


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


def test_only_services_that_own_events_are_told_where_the_event_store_is() -> None:
    told = {service for service in SERVICES if "POSTGRES_HOST" in COMPOSE["services"][service]["environment"]}

    assert told == {service for service in SERVICES if DEFINITIONS[service].owns_events}


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


def test_every_port_is_on_loopback_only_and_a_service_has_its_own() -> None:
    published = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}

    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    ports = {service: definition.port for service, definition in DEFINITIONS.items()}
    assert len(set(ports.values())) == len(ports)
    assert {service: [f"127.0.0.1:{port}:{port}"] for service, port in ports.items()} == {
        name: ports for name, ports in published.items() if name in SERVICES
    }


def test_everything_keeps_its_data_in_a_named_volume_and_says_when_it_is_healthy() -> None:
    for server in SERVERS:
        composed = COMPOSE["services"][server]
        assert composed["volumes"][0].partition(":")[0] in COMPOSE["volumes"]
        assert composed["healthcheck"]["test"]
    assert set(COMPOSE["volumes"]) == SERVERS


@each_service
def test_compose_builds_a_service_from_the_one_image_file(service: str) -> None:
    composed = COMPOSE["services"][service]

    assert ROOT / composed["build"]["dockerfile"] == IMAGE_FILE
    assert composed["build"] == {
        "context": ".",
        "dockerfile": str(IMAGE_FILE.relative_to(ROOT)),
        "args": {"SERVICE": service},
    }
    assert composed["image"].partition(":")[0] == f"relata/{service}-service"


@each_service
def test_what_the_image_file_copies_exists_and_reaches_the_build(service: str) -> None:
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    sources = [source.replace("${SERVICE}", service) for source in copied]
    reaching = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

    assert {"shared/", f"services/{service}-service/"} <= set(sources)
    assert all((ROOT / source).exists() for source in sources)
    assert {source.partition("/")[0] for source in sources} == set(reaching)


def test_the_image_file_names_no_service() -> None:
    code = [line for line in IMAGE_FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]

    assert [line for line in code for service in SERVICES if service in line and "SERVICE:?" not in line] == []


def test_every_distribution_that_services_share_is_built_into_the_image() -> None:
    shared = {project.parent for project in PROJECTS if project.parent.parent.name == "shared"}

    assert shared == set(ROOT.glob("shared/*/"))
    assert any("pip wheel" in run and " ./shared/*/ " in run for run in instructions("RUN"))


def test_an_image_has_a_pinned_base_and_an_unprivileged_user() -> None:
    bases = [line.split()[0] for line in instructions("FROM")]

    assert all(re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base) for base in bases)
    assert instructions("USER") == ["10001:10001"]


@each_service
def test_an_image_starts_its_service_with_all_roles(service: str) -> None:
    project = tomllib.loads((ROOT / f"services/{service}-service/pyproject.toml").read_text(encoding="utf-8"))

    assert project["project"]["scripts"] == {f"{service}-service": f"{service}_service.main:main"}
    assert any('ln -s "${SERVICE}-service" /app/bin/service' in run for run in instructions("RUN"))
    assert instructions("ENTRYPOINT") == ['["service"]']
    assert instructions("CMD") == ['["run"]']


@pytest.mark.parametrize("by_setting", [True, False], ids=["of HTTP_PORT", "of the service"])
def test_the_health_check_of_an_image_asks_for_readiness_at_the_port(by_setting: bool, tmp_path: Path) -> None:
    asked: list[str] = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a request is no news."""

    server = HTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = tmp_path / "port"
    port.write_text("1\n" if by_setting else f"{server.server_port}\n")
    program, *arguments = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    environment = {name: value for name, value in os.environ.items() if name != "HTTP_PORT"}
    if by_setting:
        environment["HTTP_PORT"] = str(server.server_port)

    done = subprocess.run(
        [sys.executable, *(part.replace("/app/port", str(port)) for part in arguments)], check=False, env=environment
    )
    server.shutdown()
    server.server_close()

    assert program == "python"
    assert done.returncode == 0
    assert asked == ["/readyz"]


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
