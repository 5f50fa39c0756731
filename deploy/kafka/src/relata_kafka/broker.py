"""The Apache Kafka broker as a child process: formatted, started, stopped, killed, wiped."""

import base64
import shutil
import struct
import subprocess
import uuid
from pathlib import Path

from relata_kafka import jars
from relata_kafka.configuration import SECURE_PROTOCOLS, Listeners, Security, format_arguments, server_properties
from relata_local.broker import KafkaBroker, ask
from relata_local.errors import LocalError
from relata_local.ports import HOST, free_port
from relata_local.processes import inherited_environment

FORMAT_SECONDS = 60
# Loopback, one node, small data: the start counts, not the last of the throughput.
_JVM = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_LOGGING = Path(__file__).with_name("log4j2.properties")


# A Metadata request, version 1, correlation id 1, no client id, about no topic. The answer's first twelve bytes are its
# size, the correlation id, and how many brokers take part.
_METADATA = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)


class Apache(KafkaBroker):
    """What the broker has in common however it is run."""

    stop_seconds = 30.0

    def __init__(self, data: Path, port: int, security: Security | None = None) -> None:
        super().__init__(data, port)
        self._security = security
        self._listeners = new_listeners(port, security)

    def environment(self) -> dict[str, str]:
        """The variables that point a service at this broker."""
        return super().environment() | {"KAFKA_ENABLE_IDEMPOTENCE": "true"}

    def secured(self, protocol: str) -> str:
        """Where clients of this protocol reach it."""
        return f"{HOST}:{self._listeners.secure[protocol]}"

    def answers(self) -> bool:
        # It answers before its controller lets it take part; until then no topic can be made.
        answer = ask(HOST, self.port, _METADATA, 12)
        return len(answer) == 12 and int(struct.unpack_from(">i", answer, 8)[0]) > 0


class ApacheKafka(Apache):
    """One KRaft node, broker and controller in one process.

    `stop` and `kill` keep its data, and `start` goes on with it; `restart` comes back empty, as another cluster,
    as the embedded broker does.
    """

    def __init__(self, data: Path, port: int, security: Security | None = None) -> None:
        super().__init__(data, port, security)
        self._log_folder = data / "kafka" / "log"
        self._properties = data / "kafka" / "server.properties"

    def launch(self) -> None:
        java, classpath = jars.java(), jars.classpath()
        # At every start: kept data may have been written by a broker on other ports.
        self._write_properties()
        if not self._log_folder.exists():
            self._format(java, classpath)
        self.cluster_id = self._stored_cluster_id()
        self._spawn(
            [
                java,
                *_JVM,
                f"-Dlog4j2.configurationFile={_LOGGING}",
                *("-cp", classpath),
                "kafka.Kafka",
                self._properties,
            ],
            env=inherited_environment("KAFKA_", "CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"),
            cwd=self._properties.parent,
        )

    def restart(self) -> None:
        """Stop it, delete its data, and start it again on the same port."""
        self.stop()
        self.wipe()
        self.start()

    def wipe(self) -> None:
        """Delete the data of a stopped broker: the next start is another, empty cluster."""
        if self._log_folder.exists():
            shutil.rmtree(self._log_folder)

    def _write_properties(self) -> None:
        self._properties.parent.mkdir(parents=True, exist_ok=True)
        certificate = str(self._security.certificate) if self._security else None
        self._properties.write_text(
            server_properties(
                self._listeners, data=str(self._log_folder), bind=HOST, advertise=HOST, certificate=certificate
            )
        )

    def _format(self, java: str, classpath: str) -> None:
        arguments = format_arguments(str(self._properties), new_cluster_id(), self._security)
        run = subprocess.run(
            [java, *_JVM, "-cp", classpath, "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=FORMAT_SECONDS,
        )
        if run.returncode != 0:
            self.wipe()
            raise LocalError("kafka could not format its log folder", run.stdout + run.stderr)

    def _stored_cluster_id(self) -> str:
        lines = (self._log_folder / "meta.properties").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))


def new_listeners(port: int, security: Security | None) -> Listeners:
    """The given port and free ones for what else the broker listens on."""
    secure = {protocol: free_port() for protocol in SECURE_PROTOCOLS} if security else {}
    return Listeners(plain=port, controller=free_port(), secure=secure)


def new_cluster_id() -> str:
    """A cluster id as Kafka writes it: a random UUID in 22 letters that does not look like an option."""
    while (cluster_id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster_id
