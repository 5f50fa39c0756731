"""Commands against a real event store: what comes back from it, batches, retries and writers side by side."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest

from contacts_service.application import (
    ChangeDetails,
    ChangePreferences,
    CustomerIdentified,
    IdentifyCustomer,
    LinkIdentifiers,
    Sighting,
    TagCustomer,
)
from contacts_service.domain import Customer, Identifier
from crm_shared.application import Command, IdempotencyKey, Outcome, Submission, Unit, Writer
from crm_shared.application.held import SNAPSHOT_EVERY
from crm_shared.domain import InvalidInput
from crm_shared.http.commands import positioned
from crm_shared.postgres import EventSourcedApplication

EMAIL = Identifier("email", "lan@example.com")
PHONE = Identifier("phone", "+84912345678")
LOYALTY = Identifier("external", "77", "loyalty")


@pytest.fixture
def store(open_event_store: Callable[[str], EventSourcedApplication]) -> EventSourcedApplication:
    return open_event_store("contacts")


async def test_a_customer_with_a_long_history_is_the_same_from_its_snapshot(
    store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]
) -> None:
    # given a customer who changed more often than streams are loaded whole
    first = open_writer(store)
    identified = await first.run(Submission(IdentifyCustomer(Sighting("webshop", [EMAIL, LOYALTY]))))
    customer_id = UUID(identified.value.customer_id)
    for number in range(SNAPSHOT_EVERY + 10):
        await first.run(Submission(ChangeDetails(customer_id, {"/profile/size": number})))
    first.close()
    assert len(store.ordered_recorder.select_latest({customer_id: 0})) < SNAPSHOT_EVERY

    # when another process goes on with it
    second = open_writer(store)
    again = await second.run(Submission(LinkIdentifiers(customer_id, [EMAIL, PHONE])))

    # then it knows the identifiers that were there
    assert again.value.linked == (PHONE,)


@pytest.fixture
def writer(store: EventSourcedApplication, open_writer: Callable[[EventSourcedApplication], Writer]) -> Writer:
    return open_writer(store)


def identify(*identifiers: Identifier, **seen: Any) -> Submission[CustomerIdentified]:
    return Submission(IdentifyCustomer(Sighting("webshop", identifiers, **seen)))


def customer_in(store: EventSourcedApplication, customer_id: UUID) -> Customer:
    customer: Customer = store.repository.get(customer_id)
    return customer


async def test_a_customer_comes_back_from_the_store_as_the_commands_left_it(
    store: EventSourcedApplication, writer: Writer
) -> None:
    found = await writer.run(identify(EMAIL, details={"/profile/name": "Nguyễn Thị Lan"}, tags=("vip",)))
    lan = UUID(found.value.customer_id)
    preferences = {"channels": {"email": True}, "language": "vi"}

    await writer.run(Submission(LinkIdentifiers(lan, [LOYALTY])))
    await writer.run(Submission(ChangeDetails(lan, {"/attributes/visits": 3, "/profile/name": None})))
    await writer.run(Submission(ChangePreferences(lan, preferences)))

    customer = customer_in(store, lan)
    assert customer.identifiers == [EMAIL, LOYALTY]
    assert customer.details == {"/attributes/visits": 3}
    assert customer.tags == ["vip"]
    assert customer.preferences == preferences


async def test_a_command_that_stores_nothing_answers_with_the_customers_position(
    store: EventSourcedApplication, writer: Writer
) -> None:
    first = await writer.run(identify(EMAIL, details={"/profile/name": "Lan"}))

    again = await writer.run(identify(EMAIL, details={"/profile/name": "Lan"}))

    assert again == Outcome(CustomerIdentified(first.value.customer_id, created=False), first.position)
    assert store.recorder.max_notification_id() == first.position


async def test_linked_identifiers_are_answered_again_for_the_same_idempotency_key(writer: Writer) -> None:
    lan = UUID((await writer.run(identify(EMAIL))).value.customer_id)
    once = IdempotencyKey("contacts", "tester", "link-1", "fingerprint")
    linking = Submission(LinkIdentifiers(lan, [EMAIL, PHONE, LOYALTY]), once=once)

    first = await writer.run(linking)
    again = await writer.run(linking)

    assert again == first
    assert orjson.loads(orjson.dumps(positioned(again))) == {
        "customer_id": str(lan),
        "linked": [
            {"type": "phone", "value": "+84912345678", "system": None},
            {"type": "external", "value": "77", "system": "loyalty"},
        ],
        "position": first.position,
    }


async def test_many_requests_at_once_with_one_new_identifier_make_one_customer(writer: Writer) -> None:
    outcomes = await asyncio.gather(*(writer.run(identify(EMAIL)) for _ in range(50)))

    assert len({outcome.value.customer_id for outcome in outcomes}) == 1
    assert sum(outcome.value.created for outcome in outcomes) == 1


async def test_writers_in_several_processes_agree_on_one_customer(
    open_event_store: Callable[[str], EventSourcedApplication],
    open_writer: Callable[[EventSourcedApplication], Writer],
) -> None:
    writers = [open_writer(open_event_store("contacts")) for _ in range(4)]

    outcomes = await asyncio.gather(
        *(
            writer.run(identify(Identifier("email", f"customer{number}@example.com")))
            for number in range(20)
            for writer in writers
        )
    )

    assert len({outcome.value.customer_id for outcome in outcomes}) == 20
    assert sum(outcome.value.created for outcome in outcomes) == 20


@dataclass(frozen=True, slots=True)
class TagAndFail(Command[None]):
    """Changes a customer and is then rejected."""

    customer_id: UUID

    @property
    def reads(self) -> Sequence[UUID]:
        return (self.customer_id,)

    def decide(self, unit: Unit) -> None:
        customer = unit.get(Customer, self.customer_id)
        customer.add_tags(["lost"])
        unit.save(customer)
        raise InvalidInput("no")


async def test_a_rejected_command_leaves_no_trace_for_the_ones_after_it(
    store: EventSourcedApplication, writer: Writer
) -> None:
    lan = UUID((await writer.run(identify(EMAIL))).value.customer_id)
    commands: list[Submission[Any]] = [
        Submission(TagCustomer(lan, "first")),
        Submission(TagAndFail(lan)),
        Submission(TagCustomer(lan, "last")),
    ]

    results = await writer.run_all(commands)

    assert isinstance(results[1], InvalidInput)
    assert customer_in(store, lan).tags == ["first", "last"]


async def test_commands_of_one_batch_see_each_other(writer: Writer) -> None:
    first, second = await writer.run_all([identify(EMAIL), identify(EMAIL, PHONE)])

    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    assert second.value == CustomerIdentified(first.value.customer_id, created=False)
    assert second.position > first.position
