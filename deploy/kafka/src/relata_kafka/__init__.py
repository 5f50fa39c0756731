"""The real Apache Kafka broker, one node, for tests: from its published jars, or in a container."""

from collections.abc import Callable
from pathlib import Path

from relata_kafka.broker import ApacheKafka
from relata_kafka.configuration import Security
from relata_local.broker import BrokerServer, KafkaBroker

__all__ = ["ApacheKafka", "BrokerFactory", "Security", "broker_factory"]

BrokerFactory = Callable[[Path, int], KafkaBroker]


def broker_factory(kind: str) -> BrokerFactory:
    """What makes a broker: `embedded`, `apache` (from its jars) or `testcontainers`.

    Raises `LocalError`, in one line, when this machine cannot run it.
    """
    match kind:
        case "apache":
            from relata_kafka import jars

            jars.require()
            return ApacheKafka
        case "testcontainers":
            from relata_kafka import container

            container.require()
            return container.ContainerKafka
        case _:
            return BrokerServer
