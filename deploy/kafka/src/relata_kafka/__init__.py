"""The real servers: Apache Kafka from its published jars, or it and the stores in containers."""

from collections.abc import Callable
from pathlib import Path

from relata_kafka.broker import Apache, ApacheKafka
from relata_kafka.configuration import Security
from relata_local.broker import BrokerFactory, BrokerServer
from relata_local.servers import EmbeddedServers

__all__ = ["Apache", "ApacheKafka", "BrokerFactory", "Security", "apache_kafka", "broker_factory", "container_servers"]


def broker_factory(kind: str) -> BrokerFactory:
    """What makes a broker: `embedded`, or a kind of Apache Kafka."""
    return BrokerServer if kind == "embedded" else apache_kafka(kind)


def apache_kafka(kind: str) -> type[Apache]:
    """Apache Kafka `apache`, from its jars, or by `testcontainers`.

    Raises `LocalError`, in one line, when this machine cannot run it.
    """
    if kind == "testcontainers":
        from relata_kafka import container

        container.require()
        return container.ContainerKafka
    from relata_kafka import jars

    jars.require()
    return ApacheKafka


def container_servers() -> Callable[[Path], EmbeddedServers]:
    """What makes PostgreSQL, Apache Kafka and MongoDB in containers, from a folder for what they note on this host.

    Raises `LocalError`, in one line, when this machine cannot run containers.
    """
    from relata_kafka import container, stores

    container.require()
    return stores.ContainerServers
