"""A broker's server.properties: one KRaft node that makes no topics by itself and waits for nobody."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MECHANISM = "SCRAM-SHA-512"
SECURE_PROTOCOLS = ("SASL_PLAINTEXT", "SSL", "SASL_SSL")


@dataclass(frozen=True)
class Security:
    """Listeners beside the open one: with passwords of these users, and with TLS.

    `certificate` is a PEM file with the broker's private key, unencrypted, and its certificate for 127.0.0.1.
    """

    users: Mapping[str, str]
    certificate: Path


@dataclass(frozen=True)
class Listeners:
    """The ports of one broker on loopback: open, secured by protocol, and of its controller."""

    plain: int
    controller: int
    secure: Mapping[str, int]


def server_properties(
    listeners: Listeners, *, data: str, bind: str, advertise: str, certificate: str | None = None
) -> str:
    """The configuration as text; `data` and `certificate` are paths as the broker sees them."""
    ports = {"PLAINTEXT": listeners.plain, **listeners.secure}
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{listeners.controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": ",".join(
            [f"{name}://{bind}:{port}" for name, port in ports.items()]
            + [f"CONTROLLER://127.0.0.1:{listeners.controller}"]
        ),
        "advertised.listeners": ",".join(f"{name}://{advertise}:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": ",".join([f"{name}:{name}" for name in ports] + ["CONTROLLER:PLAINTEXT"]),
        "log.dirs": data,
        # The services make their topics themselves, with the partition count that all of them share.
        "auto.create.topics.enable": "false",
        # Kafka's own topics want three brokers by default.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Few partitions start and stop sooner.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        # By default a group waits 3 s for more members before its first assignment.
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker may come back only when its former session has ended, by default 9 s later.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # Compacted as soon as there is something to compact; by default it looks every 15 s.
        "log.cleaner.backoff.ms": "500",
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    }
    if listeners.secure:
        settings |= {
            "sasl.enabled.mechanisms": MECHANISM,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificate),
        }
        for name in listeners.secure:
            if name.startswith("SASL"):
                login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                settings[f"listener.name.{name.lower()}.{MECHANISM.lower()}.sasl.jaas.config"] = login
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def format_arguments(properties: str, cluster_id: str, security: Security | None) -> list[str]:
    """What the storage tool takes to make an empty, formatted log folder; users are part of the cluster's metadata."""
    users = [
        f"--add-scram={MECHANISM}=[name={name},password={password}]"
        for name, password in (security.users.items() if security else ())
    ]
    return ["format", "--config", properties, "--cluster-id", cluster_id, *users]
