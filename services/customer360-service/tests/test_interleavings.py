"""Whatever order the sources arrive in, and however often, a customer's 360 comes out the same."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_contracts.envelope import PublicEvent
from crm_contracts.events import contacts, feedback, interactions, segmentation
from crm_contracts.registry import EventData
from crm_contracts.types import EXAMPLE_CUSTOMER as CUSTOMER
from crm_contracts.types import Money
from crm_shared.projections import advance
from customer360_service.projections.customer import fold
from customer360_service.queries.customers import view

Happened = Callable[..., PublicEvent]
SOME_UUID = "c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f"
START = datetime(1997, 1, 1, tzinfo=UTC)

words = st.sampled_from(["a", "b", "c"])
names = st.sampled_from([None, "Nguyễn Đức", "Trần Thị Lan", "O'Brien"])
identifiers = st.builds(
    contacts.Identifier,
    type=st.sampled_from(["email", "phone", "external"]),
    value=st.sampled_from([None, "a@example.com", "+84901234567", "KH-1"]),
    system=st.sampled_from([None, "pos"]),
)
profiles = st.builds(contacts.Profile, name=names, language=st.sampled_from([None, "vi"]))
attributes = st.none() | st.dictionaries(words, st.integers(0, 3) | st.booleans(), max_size=2)
pointers = st.lists(st.sampled_from(["/profile/name", "/profile/language", "/attributes/a", "/attributes/b"]))
amounts = st.builds(
    Money,
    amount=st.decimals("-10", "1000", places=2).map(lambda number: format(number, "f")),
    currency=st.sampled_from(["USD", "VND"]),
)

customer = st.just(CUSTOMER)
some_id = st.just(SOME_UUID)
membership = {
    "customer_id": customer,
    "segment_id": some_id,
    "segment_key": words,
    "segment_name": words,
    "definition_version": st.just(1),
    "because": st.just("facts_changed"),
    "values": st.just([]),
}
answers = st.builds(
    feedback.QuestionAnswer,
    question=words,
    kind=st.sampled_from(["nps", "rating"]),
    number=st.none() | st.integers(0, 10),
)
SOURCES: dict[str, Sequence[st.SearchStrategy[Any]]] = {
    "contacts": [
        st.builds(
            contacts.CustomerIdentified,
            customer_id=customer,
            source=words,
            identifiers=st.lists(identifiers, max_size=2),
            profile=profiles,
            tags=st.lists(words, unique=True),
            attributes=attributes,
        ),
        st.builds(
            contacts.CustomerDetailsChanged,
            customer_id=customer,
            changed=pointers,
            profile=profiles,
            attributes=attributes,
        ),
        st.builds(contacts.IdentityLinked, customer_id=customer, identifier=identifiers),
        st.builds(contacts.CustomerTagged, customer_id=customer, tag=words),
        st.builds(contacts.CustomerUntagged, customer_id=customer, tag=words),
        st.builds(
            contacts.PreferencesChanged,
            customer_id=customer,
            changed=st.just([]),
            preferences=st.builds(contacts.Preferences, channels=st.dictionaries(words, st.booleans())),
        ),
    ],
    "interactions": [
        st.builds(
            interactions.InteractionLogged,
            interaction_id=some_id,
            customer_id=customer,
            channel=words,
            direction=st.just("inbound"),
        ),
        st.builds(
            interactions.PurchaseRecorded,
            purchase_id=some_id,
            customer_id=customer,
            system=words,
            order_id=words,
            total=amounts,
            lines=st.just([]),
        ),
    ],
    "segmentation": [
        st.builds(segmentation.CustomerEnteredSegment, **membership),
        st.builds(segmentation.CustomerLeftSegment, **membership),
    ],
    "feedback": [
        st.builds(
            feedback.SurveyAnswered,
            response_id=some_id,
            survey_id=some_id,
            survey_key=words,
            survey_version=st.just(1),
            customer_id=customer,
            answers=st.lists(answers, max_size=2),
        )
    ],
}
# Times need not rise with the log: imports bring the past.
times = st.integers(0, 5_000_000_000).map(lambda micros: START + timedelta(microseconds=micros))


@st.composite
def histories(draw: st.DrawFn) -> list[list[tuple[EventData, datetime]]]:
    """What each source has to say, in the order of its log."""
    return [draw(st.lists(st.tuples(st.one_of(*kinds), times), max_size=6)) for kinds in SOURCES.values()]


@st.composite
def deliveries(draw: st.DrawFn, logs: Sequence[Sequence[PublicEvent]]) -> list[PublicEvent]:
    """The logs interleaved: each in its order, with duplicates and whole stretches delivered again."""
    delivered: list[PublicEvent] = []
    heads = [0] * len(logs)
    while unfinished := [one for one, log in enumerate(logs) if heads[one] < len(log)]:
        one = draw(st.sampled_from(unfinished))
        if heads[one] and draw(st.integers(0, 3)) == 0:
            # A redelivery goes back, and the log follows again from there.
            delivered += logs[one][draw(st.integers(0, heads[one] - 1)) : heads[one]]
        delivered.append(logs[one][heads[one]])
        heads[one] += 1
    return delivered


def folded(events: Sequence[PublicEvent]) -> dict[str, Any] | None:
    document: dict[str, Any] | None = None
    for event in events:
        document = advance(document, event, fold)
    return document


@given(histories(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_interleaving_with_duplicates_and_redelivery_gives_the_same_360(
    happened: Happened, history: list[list[tuple[EventData, datetime]]], data: st.DataObject
) -> None:
    # Given what each source recorded, with gaps in its positions as other customers' events leave them
    logs = [[happened(what, 3 * i + 1, at) for i, (what, at) in enumerate(log)] for log in history]
    one_after_the_other = folded([event for log in logs for event in log])

    # When it is delivered in any order that keeps each source's own
    interleaved = folded(data.draw(deliveries(logs)))

    # Then the document is the same, and so is what the API shows
    assert interleaved == one_after_the_other
    if interleaved is not None and one_after_the_other is not None:
        shown = view({"_id": CUSTOMER, **interleaved})
        assert shown == view({"_id": CUSTOMER, **one_after_the_other})
        assert shown["identified"] == bool(logs[0])


def test_a_stale_event_changes_nothing(happened: Happened) -> None:
    tag = happened(contacts.CustomerTagged(customer_id=CUSTOMER, tag="a"), 10)
    document = folded([tag])

    older = dataclasses.replace(tag, sequence=9, data={"customer_id": CUSTOMER, "tag": "b"})

    assert advance(document, older, fold) is document
    assert advance(document, tag, fold) is document
