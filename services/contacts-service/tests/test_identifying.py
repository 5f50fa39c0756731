"""Identifying customers: the rules, decided against a real event store."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from contacts_service.application import Contacts, Identified, Sighting
from contacts_service.domain import Customer, Identifier, normalise
from crm_shared.application import Command, Outcome, Writer
from crm_shared.domain import CommandContext, Conflict, InvalidInput, NotFound

EMAIL = Identifier("email", "lan@example.com")
PHONE = Identifier("phone", "+84912345678")
LOYALTY = Identifier("external", "77", "loyalty")


@pytest.fixture
def contacts(open_application: Callable[[type[Contacts]], Contacts]) -> Contacts:
    return open_application(Contacts)


@pytest.fixture
def writer(contacts: Contacts, open_writer: Callable[[Contacts], Writer]) -> Writer:
    return open_writer(contacts)


def identify(contacts: Contacts, *identifiers: Identifier, **seen: Any) -> Command[Identified]:
    sighting = Sighting("webshop", identifiers, **seen)
    return Command(lambda unit: contacts.identify(unit, sighting), CommandContext(), sighting.claim_ids)


def customer_in(contacts: Contacts, customer_id: str) -> Customer:
    customer: Customer = contacts.repository.get(UUID(customer_id))
    return customer


async def test_an_unknown_identifier_makes_a_new_customer(contacts: Contacts, writer: Writer) -> None:
    outcome = await writer.run(identify(contacts, EMAIL, details={"/profile/name": "Nguyễn Thị Lan"}, tags=("vip",)))

    customer = customer_in(contacts, outcome.value.customer_id)
    assert outcome.value.created
    assert customer.identifiers == [EMAIL]
    assert customer.details == {"/profile/name": "Nguyễn Thị Lan"}
    assert customer.tags == ["vip"]


async def test_a_known_identifier_adds_what_is_new_to_its_customer(contacts: Contacts, writer: Writer) -> None:
    first = await writer.run(identify(contacts, EMAIL, details={"/profile/name": "Lan"}))

    again = await writer.run(
        identify(contacts, LOYALTY, EMAIL, PHONE, details={"/profile/name": "Lan Nguyễn", "/attributes/tier": "gold"})
    )

    customer = customer_in(contacts, first.value.customer_id)
    assert again.value == Identified(first.value.customer_id, created=False)
    assert set(customer.identifiers) == {EMAIL, LOYALTY, PHONE}
    assert customer.details == {"/profile/name": "Lan Nguyễn", "/attributes/tier": "gold"}


async def test_identifying_again_with_nothing_new_stores_nothing(contacts: Contacts, writer: Writer) -> None:
    first = await writer.run(identify(contacts, EMAIL, details={"/profile/name": "Lan"}))

    again = await writer.run(identify(contacts, EMAIL, details={"/profile/name": "Lan"}))

    assert again == Outcome(Identified(first.value.customer_id, created=False), first.position)
    assert customer_in(contacts, first.value.customer_id).version == 1


async def test_identifiers_of_two_customers_are_a_conflict_that_names_both(contacts: Contacts, writer: Writer) -> None:
    one = (await writer.run(identify(contacts, EMAIL))).value.customer_id
    other = (await writer.run(identify(contacts, PHONE))).value.customer_id

    with pytest.raises(Conflict) as conflict:
        await writer.run(identify(contacts, EMAIL, PHONE))

    assert conflict.value.code == "identifiers_conflict"
    assert conflict.value.extra["customer_ids"] == [one, other]


async def test_many_requests_at_once_with_one_new_identifier_make_one_customer(
    contacts: Contacts, writer: Writer
) -> None:
    outcomes = await asyncio.gather(*(writer.run(identify(contacts, EMAIL)) for _ in range(50)))

    assert len({outcome.value.customer_id for outcome in outcomes}) == 1
    assert sum(outcome.value.created for outcome in outcomes) == 1


async def test_writers_in_several_processes_agree_on_one_customer(
    open_application: Callable[[type[Contacts]], Contacts], open_writer: Callable[[Contacts], Writer]
) -> None:
    applications = [open_application(Contacts) for _ in range(4)]
    writers = [open_writer(application) for application in applications]

    outcomes = await asyncio.gather(
        *(
            writer.run(identify(application, Identifier("email", f"customer{number}@example.com")))
            for number in range(20)
            for application, writer in zip(applications, writers, strict=True)
        )
    )

    assert len({outcome.value.customer_id for outcome in outcomes}) == 20
    assert sum(outcome.value.created for outcome in outcomes) == 20


async def test_a_rejected_command_leaves_no_trace_for_the_ones_after_it(contacts: Contacts, writer: Writer) -> None:
    customer_id = UUID((await writer.run(identify(contacts, EMAIL))).value.customer_id)

    def tag_and_fail(unit: Any) -> None:
        contacts.tag(unit, customer_id, "lost")
        raise InvalidInput("no")

    commands: list[Command[Any]] = [
        Command(lambda unit: contacts.tag(unit, customer_id, "first")),
        Command(tag_and_fail),
        Command(lambda unit: contacts.tag(unit, customer_id, "last")),
    ]
    results = await writer.run_all(commands)

    assert isinstance(results[1], InvalidInput)
    assert customer_in(contacts, str(customer_id)).tags == ["first", "last"]


async def test_commands_of_one_batch_see_each_other(contacts: Contacts, writer: Writer) -> None:
    first, second = await writer.run_all([identify(contacts, EMAIL), identify(contacts, EMAIL, PHONE)])

    assert isinstance(first, Outcome)
    assert isinstance(second, Outcome)
    assert second.value == Identified(first.value.customer_id, created=False)
    assert second.position > first.position


async def test_details_can_be_cleared(contacts: Contacts, writer: Writer) -> None:
    found = await writer.run(
        identify(contacts, EMAIL, details={"/profile/name": "Lan", "/profile/address/city": "Huế"})
    )
    customer_id = UUID(found.value.customer_id)

    changes = {"/profile/address/city": None, "/profile/income": "1.50", "/profile/gender": None}
    changed = await writer.run(Command(lambda unit: contacts.change_details(unit, customer_id, changes)))

    assert changed.value == ["/profile/address/city", "/profile/income"]
    assert customer_in(contacts, str(customer_id)).details == {"/profile/name": "Lan", "/profile/income": "1.50"}


async def test_a_customer_that_does_not_exist_cannot_be_changed(contacts: Contacts, writer: Writer) -> None:
    with pytest.raises(NotFound):
        await writer.run(Command(lambda unit: contacts.tag(unit, UUID(int=7), "vip")))


async def test_what_is_known_of_a_customer_is_bounded(contacts: Contacts, writer: Writer) -> None:
    customer_id = UUID((await writer.run(identify(contacts, EMAIL))).value.customer_id)
    changes = {f"/attributes/a{number}": "ố" * 1000 for number in range(20)}

    with pytest.raises(InvalidInput) as rejected:
        await writer.run(Command(lambda unit: contacts.change_details(unit, customer_id, changes)))

    assert rejected.value.code == "customer_too_large"
    assert customer_in(contacts, str(customer_id)).details == {}


@pytest.mark.parametrize(
    ("kind", "value", "region", "expected"),
    [
        ("email", " Lan.Nguyen@Example.COM ", None, "lan.nguyen@example.com"),
        ("phone", "0912 345 678", "VN", "+84912345678"),
        ("phone", "+84 (0)912 345 678", None, "+84912345678"),
        ("phone", "020 7946 0018", "GB", "+442079460018"),
    ],
)
def test_an_identifier_has_one_form(kind: str, value: str, region: str | None, expected: str) -> None:
    found = normalise(kind, value, system=None, region=region, pointer="/identifiers/0")

    assert found == Identifier(kind, expected)


@pytest.mark.parametrize(
    ("kind", "value", "field", "code"),
    [
        ("email", "not an address", "/identifiers/0/value", "invalid_email"),
        ("phone", "0912345678", "/identifiers/0/region", "region_missing"),
        ("phone", "+8412", "/identifiers/0/value", "phone_too_short"),
        ("external", "77", "/identifiers/0/system", "system_missing"),
        ("Email!", "x", "/identifiers/0/type", "invalid_type"),
    ],
)
def test_what_cannot_be_an_identifier_is_refused_by_field(kind: str, value: str, field: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise(kind, value, system=None, region=None, pointer="/identifiers/0")

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
