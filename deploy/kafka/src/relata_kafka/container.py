"""Servers in containers, through testcontainers, for machines with Docker: the same interface as a child process."""

import atexit
import importlib.util
from abc import abstractmethod
from typing import Any

from relata_kafka import jars
from relata_kafka.broker import Apache, new_cluster_id
from relata_kafka.configuration import format_arguments, server_properties
from relata_local.errors import LocalError
from relata_local.ports import HOST
from relata_local.processes import ManagedServer


def require() -> None:
    """Raise `LocalError`, in one line, when containers cannot be run on this machine."""
    if importlib.util.find_spec("testcontainers") is None:
        raise LocalError("testcontainers is not installed: pip install --require-hashes -r requirements/kafka.txt")
    import docker

    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        raise LocalError(f"Docker cannot be reached: {error}") from None


def docker_container(image: str, *ports: int) -> Any:
    """A container to be configured further, with these ports on this host's loopback.

    The number is the same inside: Kafka and MongoDB tell their clients the port that they listen on.
    """
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image)
    for port in ports:
        container.ports[f"{port}/tcp"] = (HOST, port)
    return container


class InContainer(ManagedServer):
    """A server that runs in a container. `stop` and `kill` keep the container with its data; `start` goes on with it.

    It is removed when the process ends; when that is killed, testcontainers' own reaper does it.
    """

    start_seconds = 180.0  # the first start on a machine downloads the image

    _container: Any = None

    @abstractmethod
    def make(self) -> Any:
        """The container, configured and not started."""

    def launch(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().start()
            return
        self._container = self.make()
        atexit.register(self.remove)
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

    def log_tail(self, lines: int = 15) -> str:
        if self._container is None:
            return ""
        return bytes(self._container.get_wrapped_container().logs(tail=lines)).decode("utf-8", "replace")

    def remove(self) -> None:
        """Remove the container with its data; doing it again changes nothing."""
        if self._container is not None:
            self._container.stop()
            self._container = None
            atexit.unregister(self.remove)

    def _state(self) -> dict[str, Any]:
        if self._container is None:
            return {}
        wrapped = self._container.get_wrapped_container()
        if wrapped is None:  # Docker refused to make it
            return {}
        wrapped.reload()
        state: dict[str, Any] = wrapped.attrs["State"]
        return state


# What Kafka's container runs: its configuration comes in its environment, so that nothing of this host must be mounted.
_SCRIPT = """
set -eu
mkdir -p /tmp/relata
printf %s "$RELATA_PROPERTIES" > /tmp/relata/server.properties
printf %s "$RELATA_CERTIFICATE" > /tmp/relata/broker.pem
test -d /tmp/relata/log || /opt/kafka/bin/kafka-storage.sh "$@"
exec /opt/kafka/bin/kafka-server-start.sh /tmp/relata/server.properties
"""


class ContainerKafka(InContainer, Apache):
    """Apache Kafka: one KRaft node. `restart` makes a new container on the same ports, another cluster."""

    def restart(self) -> None:
        self.remove()
        self.start()

    def make(self) -> Any:
        self.cluster_id = new_cluster_id()
        arguments = format_arguments("/tmp/relata/server.properties", self.cluster_id, self._security)
        # Of the version that the pom pins.
        container = docker_container(
            f"apache/kafka:{jars.version()}", self._listeners.plain, *self._listeners.secure.values()
        )
        container.with_command(["bash", "-c", _SCRIPT, "kafka", *arguments])
        container.with_env("KAFKA_HEAP_OPTS", "-Xms64m -Xmx512m")
        container.with_env("RELATA_PROPERTIES", self._server_properties())
        container.with_env("RELATA_CERTIFICATE", self._security.certificate.read_text() if self._security else "")
        return container

    def _server_properties(self) -> str:
        return server_properties(
            self._listeners,
            data="/tmp/relata/log",
            bind="0.0.0.0",
            advertise=HOST,
            certificate="/tmp/relata/broker.pem" if self._security else None,
        )
