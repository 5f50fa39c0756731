"""Kafka clients as Relata configures them: durable producing, co-partitioned consuming, topics, partitions."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from crm_shared.kafka.clients import Admin, Consumer, Producer
from crm_shared.kafka.cluster_watch import ClusterWatch
from crm_shared.kafka.pace import Pace
from crm_shared.kafka.partitioning import murmur2, murmur2_of_all
from crm_shared.kafka.static_members import instance_id
from crm_shared.settings import Settings

# A producer's batch holds one page's records of one partition; the contract caps one record at 64 KiB.
BATCH_BYTES = 512 * 1024

_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1"}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as Relata wants it: compacted for states, else everything is kept."""

    name: str
    compacted: bool = False


class Kafka:
    """Makes clients for one cluster."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.partitions = settings.kafka_partitions
        self._replication_factor = settings.kafka_replication_factor
        self._idempotence = settings.kafka_enable_idempotence
        self._fetch_wait_ms = settings.kafka_fetch_max_wait_ms
        self._fetch_pause = settings.kafka_fetch_pause_ms / 1000
        self._session_timeout_ms = settings.kafka_session_timeout_ms
        self._instance_id = settings.kafka_group_instance_id
        self._addresses = settings.kafka_bootstrap_servers
        self._security: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
        if settings.kafka_security_protocol in ("SSL", "SASL_SSL"):
            self._security["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_security_protocol.startswith("SASL"):
            self._security |= {
                "sasl_mechanism": settings.kafka_sasl_mechanism,
                "sasl_plain_username": settings.kafka_sasl_username,
                "sasl_plain_password": settings.kafka_sasl_password,
            }
        self._connection: dict[str, Any] = {"bootstrap_servers": self._addresses, **self._security}
        self.watch = ClusterWatch(self.admin)

    def producer(self) -> Producer:
        """A producer that counts a record as sent when all in-sync replicas have it."""
        return Producer(
            **self._connection,
            acks="all",
            enable_idempotence=self._idempotence,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=10_000,
        )

    def consumer(self, *topics: str, group: str | None, reads: Iterable[str] = (), gather: float = 0.0) -> Consumer:
        """A consumer that commits only when told to and starts at the beginning.

        The range assignor gives one member the same partition number of every topic. `reads` are the topics that it
        will subscribe to after its start, `gather` is how long records may gather at the broker after some have come
        (s).
        """
        return Consumer(
            *topics,
            pace=Pace(gather, self._fetch_pause),
            **self._connection,
            group_id=group,
            group_instance_id=(
                instance_id(self._instance_id, [*topics, *reads]) if group and self._instance_id else None
            ),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[RangePartitionAssignor],
            fetch_max_wait_ms=self._fetch_wait_ms,
            # How often the client looks around although nothing happened.
            consumer_timeout_ms=1_000,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            request_timeout_ms=10_000,
            session_timeout_ms=self._session_timeout_ms,
            # How long a join waits for a member that is busy; the request that waits must not give up first.
            rebalance_timeout_ms=7_000,
            heartbeat_interval_ms=self._session_timeout_ms // 4,
        )

    def admin(self) -> AIOKafkaAdminClient:
        """An administrative client."""
        return Admin(**self._connection, request_timeout_ms=5_000)

    async def start(self, client: AIOKafkaAdminClient | AIOKafkaProducer | AIOKafkaConsumer) -> None:
        """Start a client. The error says why no broker lets us in, which aiokafka would only log."""
        try:
            await client.start()
        except KafkaConnectionError as error:
            raise KafkaConnectionError(f"no broker at {self._addresses}: {await self._refusal()}") from error

    async def _refusal(self) -> str:
        for host, port, _ in collect_hosts(self._addresses):
            try:
                connection = await create_conn(host, port, **self._security, request_timeout_ms=3_000)
            except Exception as refusal:  # whatever it is, it is the answer
                return str(refusal) or repr(refusal)
            connection.close()
        return "it answers again"

    def partition_of(self, key: bytes) -> int:
        """The partition that the Java client's default partitioner chooses for a key."""
        return (murmur2(key) & 0x7FFFFFFF) % self.partitions

    def partitions_of(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """The same for many keys."""
        return {key: (hashed & 0x7FFFFFFF) % self.partitions for key, hashed in murmur2_of_all(keys).items()}

    async def ensure_topics(self, admin: AIOKafkaAdminClient, topics: Iterable[Topic]) -> None:
        """Create what is missing. Existing topics are left as they are; RuntimeError if their partitions differ."""
        wanted = {topic.name: topic for topic in topics}
        existing = set(await admin.list_topics())
        missing = [topic for name, topic in wanted.items() if name not in existing]
        if missing:
            response = await admin.create_topics([self._new_topic(topic) for topic in missing])
            for name, code, *told in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(f"cannot create topic {name}: {told[0] if told else ''}")
        for described in await admin.describe_topics(sorted(wanted)):
            count = len(described["partitions"])
            if count and count != self.partitions:
                raise RuntimeError(
                    f"topic {described['topic']} has {count} partitions; KAFKA_PARTITIONS says {self.partitions}"
                )

    def _new_topic(self, topic: Topic) -> NewTopic:
        # A view is built from history, so nothing goes by age, whatever the cluster's default (a week) is.
        keeping = {"cleanup.policy": "compact"} if topic.compacted else {"cleanup.policy": "delete", **_FOR_EVER}
        return NewTopic(
            topic.name,
            num_partitions=self.partitions,
            replication_factor=self._replication_factor,
            # By default one copy counts as "all in-sync replicas" when the others lag: an acknowledged event could
            # be lost with one broker.
            topic_configs={**keeping, "min.insync.replicas": str(max(1, self._replication_factor - 1))},
        )
