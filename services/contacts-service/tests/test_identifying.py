"""Identifying customers: whom identifiers name, what is added to them, and the one form of each identifier."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from contacts_service.application import (
    CustomerIdentified,
    IdentifiersLinked,
    IdentifyCustomer,
    LinkIdentifiers,
    Sighting,
)
from contacts_service.domain import Customer, Identifier, IdentifierClaim, normalise
from crm_shared.domain import InvalidInput
from crm_shared.testing import Then, given, stored

EMAIL = Identifier("email", "lan@example.com")
PHONE = Identifier("phone", "+84912345678")
LOYALTY = Identifier("external", "77", "loyalty")


def identify(*identifiers: Identifier, occurred_at: datetime | None = None, **seen: Any) -> IdentifyCustomer:
    return IdentifyCustomer(Sighting("webshop", identifiers, **seen), occurred_at)


def known(*identifiers: Identifier, **seen: Any) -> tuple[UUID, Then]:
    """The id of a customer who has been identified, and what came of that."""
    identified = given().when(identify(*identifiers, **seen))
    return UUID(identified.result.customer_id), identified


def test_unknown_identifiers_make_a_new_customer_who_claims_each_of_them() -> None:
    sighting = identify(EMAIL, PHONE, EMAIL, details={"/profile/name": "Nguyễn Thị Lan"}, tags=("vip", "vip"))

    identified = given().when(sighting)

    customer_id = identified.result.customer_id
    identified.answers(CustomerIdentified(customer_id, created=True)).then(
        stored(IdentifierClaim.Created, originator_id=EMAIL.claim_id, customer_id=customer_id),
        stored(IdentifierClaim.Created, originator_id=PHONE.claim_id, customer_id=customer_id),
        stored(
            Customer.Created,
            originator_id=UUID(customer_id),
            source="webshop",
            identifiers=[EMAIL.as_dict(), PHONE.as_dict()],
            details={"/profile/name": "Nguyễn Thị Lan"},
            tags=["vip"],
        ),
    )


def test_a_known_identifier_adds_what_is_new_to_its_customer() -> None:
    lan, identified = known(EMAIL, details={"/profile/name": "Lan", "/attributes/tier": "gold"}, tags=["vip"])
    changes = {"/profile/name": "Lan Nguyễn", "/profile/gender": None, "/attributes/tier": "gold"}

    seen = given(*identified.events).when(identify(LOYALTY, EMAIL, PHONE, details=changes, tags=("vip", "early")))

    seen.answers(CustomerIdentified(str(lan), created=False)).then(
        stored(IdentifierClaim.Created, originator_id=LOYALTY.claim_id, customer_id=str(lan)),
        stored(IdentifierClaim.Created, originator_id=PHONE.claim_id, customer_id=str(lan)),
        stored(Customer.IdentityLinked, originator_id=lan, identifier=LOYALTY.as_dict()),
        stored(Customer.IdentityLinked, originator_id=lan, identifier=PHONE.as_dict()),
        stored(Customer.DetailsChanged, originator_id=lan, changes={"/profile/name": "Lan Nguyễn"}),
        stored(Customer.Tagged, originator_id=lan, tag="early"),
    )


def test_identifying_clears_nothing() -> None:
    lan, identified = known(EMAIL, details={"/profile/name": "Lan"})

    seen = given(*identified.events).when(identify(EMAIL, details={"/profile/name": None}))

    seen.then().answers(CustomerIdentified(str(lan), created=False))


def test_identifying_again_with_nothing_new_stores_nothing() -> None:
    again = identify(EMAIL, details={"/profile/name": "Lan"}, tags=["vip"])

    given(again).when(again).then()


def test_a_customer_cannot_be_identified_by_nothing() -> None:
    given().when(identify()).refused("identifier_missing", at="/identifiers")


def test_identifiers_of_two_customers_are_a_conflict_that_names_both() -> None:
    lan, first = known(EMAIL)
    minh, second = known(PHONE)

    seen = given(*first.events, *second.events).when(identify(EMAIL, LOYALTY, PHONE)).refused("identifiers_conflict")

    assert seen.error is not None
    assert seen.error.extra["customer_ids"] == [str(lan), str(minh)]
    assert seen.error.extra["identifiers"] == [str(EMAIL), str(LOYALTY), str(PHONE)]


def test_an_event_says_when_the_customer_was_seen() -> None:
    before_tet = datetime(2026, 2, 16, 3, 30, tzinfo=UTC)

    identified = given().when(identify(EMAIL, occurred_at=before_tet))

    identified.then(
        stored(IdentifierClaim.Created, occurred_at=before_tet), stored(Customer.Created, occurred_at=before_tet)
    )


def test_further_identifiers_are_linked_to_a_known_customer_and_those_it_has_are_not_told_again() -> None:
    lan, identified = known(EMAIL)

    linked = given(*identified.events).when(LinkIdentifiers(lan, [EMAIL, PHONE, LOYALTY, PHONE]))

    linked.answers(IdentifiersLinked(str(lan), (PHONE, LOYALTY))).then(
        stored(IdentifierClaim.Created, originator_id=PHONE.claim_id, customer_id=str(lan)),
        stored(IdentifierClaim.Created, originator_id=LOYALTY.claim_id, customer_id=str(lan)),
        stored(Customer.IdentityLinked, identifier=PHONE.as_dict()),
        stored(Customer.IdentityLinked, identifier=LOYALTY.as_dict()),
    )


def test_an_identifier_of_somebody_else_cannot_be_linked() -> None:
    lan, first = known(EMAIL)
    minh, second = known(PHONE)

    linking = given(*first.events, *second.events).when(LinkIdentifiers(lan, [LOYALTY, PHONE]))

    linking.refused("identifiers_conflict")
    assert linking.error is not None
    assert linking.error.extra["customer_ids"] == [str(lan), str(minh)]


def test_linking_needs_an_identifier_and_somebody_to_link_it_to() -> None:
    lan, identified = known(EMAIL)

    given(*identified.events).when(LinkIdentifiers(lan, [])).refused("identifier_missing", at="/identifiers")
    given().when(LinkIdentifiers(lan, [PHONE])).refused("not_found")


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
