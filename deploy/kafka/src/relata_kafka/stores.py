"""MongoDB itself and PostgreSQL in containers, and with Apache Kafka all three: what the embedded servers stand for."""

import secrets
import time
from pathlib import Path
from typing import Any, Literal

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from relata_kafka.container import ContainerKafka, InContainer, docker_container
from relata_local.documents import DocumentServer
from relata_local.errors import StartFailed
from relata_local.ports import HOST, free_port
from relata_local.postgres import DATABASE, ROLE, PostgresServer
from relata_local.processes import POLL_SECONDS
from relata_local.servers import EmbeddedServers

# The images of docker-compose.yml.
MONGODB_IMAGE = "mongo:8.0"
POSTGRES_IMAGE = "postgres:18-bookworm"

_REPLICA_SET = "relata"
_ELECTION_SECONDS = 60.0
_ALREADY_INITIALISED = 23  # MongoDB's error code


class ContainerMongoDB(InContainer, DocumentServer):
    """MongoDB: a replica set of one node, which services reach like a set of three."""

    def environment(self) -> dict[str, str]:
        """The variables that point a service at it. The driver finds the primary itself."""
        return {"MONGODB_URI": f"mongodb://{HOST}:{self.port}/?replicaSet={_REPLICA_SET}"}

    def make(self) -> Any:
        container = docker_container(MONGODB_IMAGE, self.port)
        return container.with_command(
            [
                "mongod",
                *("--replSet", _REPLICA_SET, "--bind_ip_all", "--port", str(self.port)),
                *("--wiredTigerCacheSizeGB", "0.25"),
            ]
        )

    def prepare(self) -> None:
        """Make the replica set and wait for its primary; a container that is started again has one."""
        members = [{"_id": 0, "host": f"{HOST}:{self.port}"}]
        with MongoClient[dict[str, Any]](self.address) as client:
            try:
                client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members})
            except OperationFailure as error:
                if error.code != _ALREADY_INITIALISED:
                    raise
            deadline = time.monotonic() + _ELECTION_SECONDS
            while not client.admin.command("hello")["isWritablePrimary"]:
                if time.monotonic() > deadline:
                    raise StartFailed(self.name, "its replica set has elected no primary", self.log_tail())
                time.sleep(POLL_SECONDS)


class ContainerPostgres(InContainer, PostgresServer):
    """PostgreSQL, with the durable settings that it has by default."""

    def __init__(self, data: Path, port: int) -> None:
        super().__init__(data, port)
        self._drawn_password = secrets.token_urlsafe(24)

    @property
    def password(self) -> str:
        return self._drawn_password

    def make(self) -> Any:
        container = docker_container(POSTGRES_IMAGE, self.port)
        container.with_env("POSTGRES_DB", DATABASE).with_env("POSTGRES_USER", ROLE)
        container.with_env("POSTGRES_PASSWORD", self.password).with_env("PGPORT", str(self.port))
        return container

    def answers(self) -> bool:
        # Docker opens the port before the server does, and while the cluster is being made the server answers on its
        # socket only; so the check runs inside, by TCP.
        if not self.running:
            return False
        command = ["pg_isready", f"--host={HOST}", f"--username={ROLE}", f"--dbname={DATABASE}"]
        return bool(self._container.exec(command).exit_code == 0)

    def prepare(self) -> None:
        """Nothing: the image has made the database and its user."""

    def signal_stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Nothing yet when it may take its time; an immediate stop is a kill."""
        if mode == "immediate":
            self.kill()


class ContainerServers(EmbeddedServers):
    """PostgreSQL, Apache Kafka and MongoDB in containers, in the place of `EmbeddedServers`."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, broker=ContainerKafka)
        self.postgres = ContainerPostgres(self.data.path, free_port())
        self.documents = ContainerMongoDB(self.data.path, free_port())
