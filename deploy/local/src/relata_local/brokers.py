"""Which broker a stack runs: the embedded one, or Apache Kafka itself where this machine can."""

from enum import StrEnum
from importlib.util import find_spec

from relata_local.broker import BrokerFactory, BrokerServer
from relata_local.errors import LocalError


class BrokerKind(StrEnum):
    """What `crm up --broker` takes."""

    EMBEDDED = "embedded"
    APACHE = "apache"


def broker_of(kind: BrokerKind) -> BrokerFactory:
    """What makes a broker of this kind. Raises `LocalError`, in one line, when this machine cannot run it."""
    if kind == BrokerKind.EMBEDDED:
        return BrokerServer
    if find_spec("relata_kafka") is None:
        raise LocalError("--broker apache needs relata-kafka: pip install -e deploy/kafka")
    from relata_kafka import apache_kafka

    return apache_kafka(kind)
