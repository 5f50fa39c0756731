"""Topics as no relay writes them: repeats, stale redelivery, sources in any order, records that cannot be folded."""

import asyncio
import dataclasses
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any

import orjson
from tests.faults.load import Load
from tests.faults.oracle import Oracle, settled
from tests.faults.stored import DEFINITIONS

from crm_contracts.envelope import PublicEvent, Record
from crm_shared.kafka import Kafka, Topic
from crm_shared.kafka.clients import Producer
from crm_shared.mongo import Document
from crm_shared.process import Definition
from crm_shared.projections.consumer import Consumer
from crm_shared.projections.projection import Fold
from crm_shared.settings import Settings
from relata_local.servers import EmbeddedServers

EVENTS = 5_000
POISON = 50
MALFORMED = 5
SEGMENTS = 5
COMMANDS = 300
RELEASE_SECONDS = 300.0
NDJSON = {"content-type": "application/x-ndjson"}

Launch = Callable[..., Awaitable[Any]]
SettingsFor = Callable[[str], Settings]
Tally = Callable[..., None]


class Poison:
    """Events that no projection can fold while it is `potent`."""

    def __init__(self) -> None:
        self.events: frozenset[str] = frozenset()
        self.potent = True

    def guard(self, fold: Fold) -> Fold:
        def guarded(document: Document | None, event: PublicEvent) -> Document:
            if self.potent and event.id in self.events:
                raise ValueError("poison")
            return fold(document, event)

        return guarded

    def into(self, definition: Definition) -> Definition:
        """The same service, with folds that this poison affects."""
        projections = [dataclasses.replace(one, fold=self.guard(one.fold)) for one in definition.projections]
        return dataclasses.replace(definition, projections=projections)


async def test_repeats_stale_redelivery_and_poison_leave_every_view_as_the_stores_say(
    broker: EmbeddedServers,
    launch: Launch,
    settings_for: SettingsFor,
    count: int,
    tally: Tally,
) -> None:
    chance = random.Random(6)
    # given a history with everything in it
    await make_history(launch, EVENTS * count)
    oracle = await settled(settings_for)
    poison = Poison()

    # when it is on another cluster, with repeats and stale redelivery, and views begin anew
    await asyncio.to_thread(broker.broker.restart)
    for service, definition in DEFINITIONS.items():
        one = await launch(definition, roles=())
        await one.runtime.database.client.drop_database(settings_for(service).database_name(service))
    of_customers = [event for log in oracle.logs.values() for event, _ in log.public if is_of_customer(event)]
    chosen = chance.sample(of_customers, (POISON + MALFORMED) * count)
    poison.events = frozenset(event.id for event in chosen[: POISON * count])
    malformed = {event.id for event in chosen[POISON * count :]}
    sent = await send_distorted(settings_for, oracle, chance, malformed)
    views = [
        await launch(poison.into(definition), roles=("project", "relay") if service == "segmentation" else ("project",))
        for service, definition in DEFINITIONS.items()
    ]

    # then each poison has parked its customer in the projections that need it, and nobody else
    expected = parked_by(oracle, chosen)
    consumers = [consumer for view in views for consumer in view.runtime.consumers]
    after = await settled(settings_for, parked=expected)
    assert await parked(consumers) == expected

    # and when the folds are mended, a release brings all back, except those whose records cannot be read
    poison.potent = False
    for consumer in consumers:
        for customer in expected[consumer.name]:
            await consumer.parking.request_release(customer)
    lasting = parked_by(oracle, [event for event in chosen if event.id in malformed])
    async with asyncio.timeout(RELEASE_SECONDS * count):
        while await parked(consumers) != lasting:
            await asyncio.sleep(0.5)
    after = await settled(settings_for, parked=lasting)
    tally(
        events=after.public_events,
        records=sent,
        poison=len(chosen),
        parked=sum(len(one) for one in expected.values()),
        released=sum(len(one) for one in expected.values()) - sum(len(one) for one in lasting.values()),
    )


async def make_history(launch: Launch, events: int) -> None:
    """Customers, purchases and segments in bulk, and some of everything; all stopped again when the views are equal."""
    services = {service: await launch(definition) for service, definition in DEFINITIONS.items()}
    for number in range(SEGMENTS):
        body = {"name": "Buyers", "condition": {"field": "purchases.count", "op": "gte", "value": number + 1}}
        await services["segmentation"].client.put(f"/v1/segments/buyers-{number}", json=body)
    lines = [
        {"source": "shop", "identifiers": [{"type": "email", "value": f"bulk{number}@example.com"}]}
        for number in range(events // 10)
    ]
    answer = await services["contacts"].client.post("/v1/customers/import", content=ndjson(lines), headers=NDJSON)
    customers = [orjson.loads(line)["customer_id"] for line in answer.content.splitlines()]
    purchases = [
        {
            "customer_id": customers[number * 7919 % len(customers)],
            "system": "shop",
            "order_id": str(number),
            "occurred_at": f"2025-{number % 12 + 1:02}-01T00:00:00Z",
            "total": {"amount": f"{number % 90}.50", "currency": "USD"},
        }
        for number in range(events * 6 // 10)
    ]
    await services["interactions"].client.post("/v1/purchases/import", content=ndjson(purchases), headers=NDJSON)
    transports = {service: one.client._transport for service, one in services.items()}
    async with Load("http://{}".format, seed=6, most=COMMANDS, transports=transports) as load:
        await load.progress(COMMANDS)
    assert not load.trouble
    await settled(lambda service: services[service].runtime.settings)
    for one in services.values():
        await one.stop()


def ndjson(lines: Sequence[Any]) -> bytes:
    return b"\n".join(orjson.dumps(line) for line in lines)


def is_of_customer(event: PublicEvent) -> bool:
    """Definitions of segments and surveys concern no customer."""
    return event.name not in ("SegmentDefined", "SegmentRetired", "SurveyPublished")


def parked_by(oracle: Oracle, events: Sequence[PublicEvent]) -> dict[str, Collection[str]]:
    """Per projection the customers whom these events park."""
    return {view.name: {event.key for event in events if view.reads(event)} for view in oracle.views}


async def parked(consumers: Sequence[Consumer]) -> dict[str, Collection[str]]:
    return {one.name: {found["customer_id"] for found in await one.parking.report()} for one in consumers}


async def send_distorted(
    settings_for: SettingsFor, oracle: Oracle, chance: random.Random, malformed: Collection[str]
) -> int:
    """Send every public event one to five times, late repeats among later events, all topics by turns."""
    kafka = Kafka(settings_for("contacts"))
    queues: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for log in oracle.logs.values():
        for event, record in log.public:
            # What a relay would never send: a payload cut in half.
            said = record._replace(value=(record.value or b"")[:-9]) if event.id in malformed else record
            queues[record.topic, kafka.partition_of(record.key)].append(said)
    pieces = [list(in_pieces(list(distorted(records, chance)), chance)) for records in queues.values()]
    records = sum(len(piece) for left in pieces for piece in left)
    admin, producer = kafka.admin(), kafka.producer()
    await kafka.start(admin)
    await producer.start()
    try:
        await kafka.ensure_topics(admin, [Topic(topic) for topic, _ in queues])
        places = list(queues)
        while any(pieces):
            number = chance.choice([number for number, left in enumerate(pieces) if left])
            await send_piece(producer, *places[number], pieces[number].pop(0))
    finally:
        await producer.stop()
        await admin.close()
    return records


async def send_piece(producer: Producer, topic: str, partition: int, records: Sequence[Record]) -> None:
    batch = producer.create_batch()
    for one in records:
        assert batch.append(timestamp=None, key=one.key, value=one.value, headers=one.headers), "a piece is one batch"
    await (await producer.send_batch(batch, topic, partition=partition))


def distorted(records: Sequence[Record], chance: random.Random) -> Iterator[Record]:
    """Each record in its place, and up to four times again, at once or much later."""
    late: list[Record] = []
    for record in records:
        yield record
        for _ in range(chance.randrange(5)):
            if chance.random() < 0.3:
                yield record
            else:
                late.append(record)
        while late and chance.random() < 0.6:
            yield late.pop(chance.randrange(len(late)))
    chance.shuffle(late)
    yield from late


def in_pieces(records: Sequence[Record], chance: random.Random) -> Iterator[Sequence[Record]]:
    start = 0
    while start < len(records):
        size = chance.randint(1, 300)
        yield records[start : start + size]
        start += size
