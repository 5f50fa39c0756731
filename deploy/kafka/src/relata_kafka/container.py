"""The Apache Kafka broker in a container, through testcontainers: the same configuration, the same interface."""

import atexit
import importlib.util
from pathlib import Path
from typing import Any

from relata_kafka import jars
from relata_kafka.broker import Apache, new_cluster_id
from relata_kafka.configuration import Security, format_arguments, server_properties
from relata_local.errors import LocalError
from relata_local.ports import HOST

# What the container runs: its configuration comes in its environment, so that nothing of this host must be mounted.
_SCRIPT = """
set -eu
mkdir -p /tmp/relata
printf %s "$RELATA_PROPERTIES" > /tmp/relata/server.properties
printf %s "$RELATA_CERTIFICATE" > /tmp/relata/broker.pem
test -d /tmp/relata/log || /opt/kafka/bin/kafka-storage.sh "$@"
exec /opt/kafka/bin/kafka-server-start.sh /tmp/relata/server.properties
"""


def image() -> str:
    """The image of the version that the pom pins."""
    return f"apache/kafka:{jars.version()}"


def require() -> None:
    """Raise `LocalError`, in one line, when containers cannot be run on this machine."""
    if importlib.util.find_spec("testcontainers") is None:
        raise LocalError("testcontainers is not installed: pip install --require-hashes -r requirements/kafka.txt")
    import docker

    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        raise LocalError(f"Docker cannot be reached: {error}") from None


class ContainerKafka(Apache):
    """One KRaft node in a container, on ports of this host's loopback.

    `stop` and `kill` keep the container with its data and `start` goes on with it; `restart` makes a new one.
    """

    start_seconds = 180.0

    def __init__(self, data: Path, port: int, security: Security | None = None) -> None:
        super().__init__(data, port, security)
        self._container: Any = None

    def launch(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().start()
            return
        self._container = self._make()
        atexit.register(self._remove)
        self._container.start()

    @property
    def running(self) -> bool:
        return self._state().get("Running") is True

    @property
    def exit_code(self) -> int | None:
        return None if self.running else self._state().get("ExitCode")

    def signal_stop(self) -> None:
        """Nothing yet: Docker stops and waits in one call."""

    def wait_stopped(self) -> None:
        if self.running:
            self._container.get_wrapped_container().stop(timeout=int(self.stop_seconds))

    def kill(self) -> None:
        if self.running:
            self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Remove the container and start another on the same ports, with another cluster id."""
        self._remove()
        self.start()

    def log_tail(self, lines: int = 15) -> str:
        if self._container is None:
            return ""
        return bytes(self._container.get_wrapped_container().logs(tail=lines)).decode("utf-8", "replace")

    def _make(self) -> Any:
        from testcontainers.core.container import DockerContainer

        self.cluster_id = new_cluster_id()
        arguments = format_arguments("/tmp/relata/server.properties", self.cluster_id, self._security)
        container = DockerContainer(image()).with_command(["bash", "-c", _SCRIPT, "kafka", *arguments])
        container.with_env("KAFKA_HEAP_OPTS", "-Xms64m -Xmx512m")
        container.with_env("RELATA_PROPERTIES", self._server_properties())
        container.with_env("RELATA_CERTIFICATE", self._security.certificate.read_text() if self._security else "")
        for port in (self._listeners.plain, *self._listeners.secure.values()):
            # The broker tells its clients the port that it listens on, so it must be the same outside.
            container.ports[f"{port}/tcp"] = (HOST, port)
        return container

    def _server_properties(self) -> str:
        return server_properties(
            self._listeners,
            data="/tmp/relata/log",
            bind="0.0.0.0",
            advertise=HOST,
            certificate="/tmp/relata/broker.pem" if self._security else None,
        )

    def _state(self) -> dict[str, Any]:
        if self._container is None:
            return {}
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        state: dict[str, Any] = wrapped.attrs["State"]
        return state

    def _remove(self) -> None:
        if self._container is not None:
            self._container.stop()
            self._container = None
            atexit.unregister(self._remove)
