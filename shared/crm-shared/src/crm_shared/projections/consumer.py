"""The consumer of a projection: a member of its group on Kafka, for as long as the process runs."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiokafka.errors import KafkaError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from crm_shared.domain.errors import StoreUnavailable
from crm_shared.kafka.clients import Consumer as KafkaConsumer
from crm_shared.kafka.clients import heed_cancellation
from crm_shared.kafka.cluster_watch import cluster_id
from crm_shared.kafka.connection import Kafka, Topic
from crm_shared.kafka.static_members import IdInUse
from crm_shared.mongo.documents import Document
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.generations import Generations, in_generation
from crm_shared.projections.layouts import bring_to_layout
from crm_shared.projections.membership import Membership, StartOver
from crm_shared.projections.parking import Parking
from crm_shared.projections.progress import Progress
from crm_shared.projections.progress_keeper import ProgressKeeper
from crm_shared.projections.projection import Applier

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
STAND_BY_SECONDS = 2.0


class Consumer:
    """Feeds one `Applier` from Kafka, until cancelled.

    At least once: what is read is applied and noted, and offsets are committed after that is durable. What cannot be
    applied is tried a few times, then parked with its customer. When a store or the broker cannot be reached it waits
    and goes on from what is stored. On a broker that has lost its history it starts at the beginning; the positions in
    the documents make that harmless.
    """

    def __init__(
        self,
        applier: Applier,
        database: AsyncDatabase[Document],
        kafka: Kafka,
        generations: Generations | None = None,
    ) -> None:
        self.applier = applier
        self._database = database
        self._kafka = kafka
        self.generations = generations or Generations(database)
        self.progress = Progress(database, applier.name, self.generations)
        self.parking = Parking(database, applier.name, kafka)
        self.ready = False
        self._trouble = ""
        self._reader: KafkaConsumer | None = None
        # The last id that the broker gave us in the group.
        self._member_id = ""

    @property
    def name(self) -> str:
        """The projection's permanent name."""
        return self.applier.name

    @property
    def topics(self) -> list[str]:
        """The topics that it reads."""
        return list(self.applier.topics)

    async def check(self) -> None:
        """Raise, with the reason, unless it is a member of the group and has been told its partitions."""
        if not self.ready:
            raise RuntimeError(self._trouble or "not yet a member of the consumer group")

    def hinder(self, trouble: str) -> None:
        """Say that it does not get on, and why."""
        self.ready = False
        self._trouble = trouble

    def hurry(self) -> None:
        """Somebody in this process waits for what it will apply: ask the broker at once."""
        if self._reader is not None:
            self._reader.hurry()

    async def run(self) -> None:
        """Consume until cancelled."""
        beside = asyncio.create_task(self.applier.work())
        try:
            await self._consume()
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)

    async def _consume(self) -> None:
        while True:
            heed_cancellation()
            try:
                if isinstance(self.applier, DocumentProjection):
                    await bring_to_layout(self.applier.declared, self._database, self._kafka, self.hinder)
                await self.applier.prepare(await self.generations.live(self.applier.name, within=0.0))
                async with self._membership() as membership:
                    self._trouble = ""
                    await membership.work()
            except StartOver as change:
                log.warning("%s starts over: %s", self.applier.name, change)
            except IdInUse as error:
                if self._trouble != str(error):
                    log.error("%s stands by until it has gone: %s", self.applier.name, error)
                self._trouble = str(error)
                await asyncio.sleep(STAND_BY_SECONDS)
            except (KafkaError, PyMongoError, StoreUnavailable, OSError, TimeoutError) as error:
                self._trouble = repr(error)
                log.warning("%s will try again: %r", self.applier.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                self._trouble = str(error)
                log.exception("%s stumbled; it starts over from what is stored", self.applier.name)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                self.ready = False

    @contextlib.asynccontextmanager
    async def _membership(self) -> AsyncIterator[Membership]:
        consumer = self._kafka.consumer(group=self.applier.name, reads=self.topics, gather=self.applier.gather_seconds)
        async with contextlib.AsyncExitStack() as stack:
            # Each is stopped whatever becomes of the others, and should we be cancelled while one of them stops.
            for stop in (self.parking.close, consumer.stop):
                stack.push_async_callback(stop)
            stack.callback(self._remember, consumer)
            cluster = await self._prepare_topics(consumer)
            await consumer.start()
            consumer.keep_to(cluster)
            await stack.enter_async_context(self._kafka.watch.in_use())
            keeper = ProgressKeeper(self._database, in_generation(self.applier.name, self.applier.generation))
            membership = Membership(self, keeper, consumer, self._kafka, cluster)
            consumer.subscribe(topics=list(self.applier.topics), listener=membership)
            self._reader = consumer
            stack.callback(self._forget_reader)
            yield membership

    def _forget_reader(self) -> None:
        self._reader = None

    def _remember(self, consumer: KafkaConsumer) -> None:
        self._member_id = consumer.member_id or self._member_id

    async def _prepare_topics(self, consumer: KafkaConsumer) -> str:
        """Create the topics that are missing; the id of the cluster that they are in.

        Raises `IdInUse` when another process has taken our place in the group. At our start it may be ourselves, before
        we were killed: then the place is taken over at once.
        """
        admin = self._kafka.admin()
        try:
            await self._kafka.start(admin)
            topics = [Topic(name) for name in (*self.applier.topics, self.parking.topic)]
            await self._kafka.ensure_topics(admin, topics)
            if self._member_id:
                await consumer.refuse_if_in_use(admin, self._member_id)
            return await cluster_id(admin)
        finally:
            await admin.close()
