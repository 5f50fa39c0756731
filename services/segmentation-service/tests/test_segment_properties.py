"""What holds for all conditions and all histories: nothing is missed, and one meaning in every form."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_contracts.envelope import PublicEvent
from crm_shared.text import folded, plain
from segmentation_service.conditions import (
    Condition,
    SegmentIndex,
    catalogue,
    deciding_leaves,
    evaluate,
    explain,
    parse,
    to_json,
)
from segmentation_service.facts import Facts
from segmentation_service.projections.facts import fold

pytestmark = pytest.mark.slow

# Few and colliding values, so that histories meet thresholds exactly and pass them both ways.
DAYS = st.integers(0, 4).map(lambda day: datetime(1997, 1, 1, tzinfo=UTC) + timedelta(days=day))
NUMBERS = st.sampled_from([0, 1, 2, 3, 2.5, 9])
AMOUNTS = st.sampled_from(["0", "0.1", "0.10", "0.2", "0.3", "10", "29.33"])
TEXTS = st.sampled_from(["a", "A", "ab", "d", "đ", "Đà", "e", "e\u0302\u0301", "Ế", "1"])
SCALARS = NUMBERS | TEXTS | st.booleans()
NAMES = st.sampled_from(["x", "y_z"])
CHANNELS = st.sampled_from(["email", "phone"])
STAND_INS = {"<currency>": st.sampled_from(["USD", "VND"]), "<channel>": CHANNELS, "<name>": NAMES}
STAND_INS |= {"<survey_key>": st.sampled_from(["s", "t"]), "<question_key>": st.sampled_from(["q", "r"])}


# What the fold does not look at, and events have.
ELSE: dict[str, dict[str, Any]] = {
    "CustomerIdentified": {"source": "s", "identifiers": []},
    "PreferencesChanged": {"changed": []},
    "InteractionLogged": {"interaction_id": "i", "direction": "inbound"},
    "PurchaseRecorded": {"purchase_id": "p", "system": "s", "order_id": "o", "lines": []},
    "SurveyAnswered": {"response_id": "r", "survey_id": "s", "survey_version": 1},
}


def public_event(source: str, name: str, data: dict[str, Any], occurred_at: datetime, sequence: int) -> PublicEvent:
    """A public event whose envelope says nothing of interest beside these."""
    customer = "5a8d1a5e-6f7a-4c1e-9d0c-0c6a5f1b2e3d"
    return PublicEvent(
        id=f"{source}-{sequence}",
        service=source,
        name=name,
        major=1,
        key=customer,
        subject=customer,
        occurred_at=occurred_at,
        recorded_at=occurred_at,
        sequence=sequence,
        stream_version=sequence,
        correlation_id="",
        causation_id="",
        actor="",
        traceparent="",
        data={"customer_id": customer, **ELSE.get(name, {}), **data},
    )


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


PROFILES = st.fixed_dictionaries(
    {},
    optional={
        "name": optional(TEXTS),
        "income": optional(AMOUNTS),
        "size": optional(st.integers(0, 3)),
        "birth_date": optional(st.sampled_from(["1997-01-01", "1997-01-02"])),
        "address": optional(st.fixed_dictionaries({"city": optional(TEXTS)})),
    },
)
ATTRIBUTES = st.dictionaries(NAMES, SCALARS)
POINTERS = st.lists(
    st.sampled_from(
        [
            *("/profile/name", "/profile/income", "/profile/size", "/profile/address", "/profile/address/city"),
            *("/attributes/x", "/attributes/y_z"),
        ]
    )
)
ANSWERS = st.fixed_dictionaries(
    {"question": st.sampled_from(["q", "r"]), "kind": st.sampled_from(["nps", "rating", "text"])},
    optional={"number": optional(st.integers(0, 10)), "text": optional(TEXTS)},
)
PAYLOADS: dict[tuple[str, str], dict[str, st.SearchStrategy[Any]]] = {
    ("contacts", "CustomerIdentified"): {"profile": PROFILES, "tags": st.lists(TEXTS), "attributes": ATTRIBUTES},
    ("contacts", "CustomerDetailsChanged"): {"changed": POINTERS, "profile": PROFILES, "attributes": ATTRIBUTES},
    ("contacts", "CustomerTagged"): {"tag": TEXTS},
    ("contacts", "CustomerUntagged"): {"tag": TEXTS},
    ("contacts", "PreferencesChanged"): {
        "preferences": st.fixed_dictionaries({"channels": st.dictionaries(CHANNELS, st.booleans())})
    },
    ("interactions", "InteractionLogged"): {"channel": CHANNELS},
    ("interactions", "PurchaseRecorded"): {
        "total": st.fixed_dictionaries({"amount": AMOUNTS, "currency": STAND_INS["<currency>"]})
    },
    ("feedback", "SurveyAnswered"): {"survey_key": st.sampled_from(["s", "t"]), "answers": st.lists(ANSWERS)},
}


@st.composite
def histories(draw: st.DrawFn) -> list[PublicEvent]:
    events: list[PublicEvent] = []
    for source, name in draw(st.lists(st.sampled_from(sorted(PAYLOADS)), max_size=8)):
        data = draw(st.fixed_dictionaries(PAYLOADS[source, name]))
        events.append(public_event(source, name, data, draw(DAYS), len(events) + 1))
    return events


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    described = draw(st.sampled_from(catalogue()))
    name = described.field
    for placeholder, stand_in in STAND_INS.items():
        if placeholder in name:
            name = name.replace(placeholder, draw(stand_in))
    op = draw(st.sampled_from(described.operators))
    values: st.SearchStrategy[Any]
    match described.type:
        case "number":
            values = NUMBERS
        case "money":
            values = AMOUNTS
        case "datetime":
            values = DAYS.map(datetime.isoformat)
        case "date":
            values = DAYS.map(lambda day: day.date().isoformat())
        case "boolean":
            values = st.booleans()
        case "scalar" if op in ("gt", "gte", "lt", "lte", "between"):
            values = NUMBERS
        case "scalar" if op not in ("contains", "starts_with"):
            values = draw(st.sampled_from([NUMBERS, TEXTS, st.booleans()]))
        case _:
            values = TEXTS
    if op == "exists":
        values = st.booleans()
    if op in ("in", "not_in"):
        values = st.lists(values, min_size=1, max_size=3)
    if op == "between":
        ordered = draw(st.lists(values, min_size=2, max_size=2).map(lambda ends: sorted(ends, key=as_ordered)))
        values = st.just(ordered)
    return {"field": name, "op": op, "value": draw(values)}


def as_ordered(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def groups(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda inner: {"all": inner}),
        several.map(lambda inner: {"any": inner}),
        parts.map(lambda inner: {"not": inner}),
    )


CONDITIONS = st.recursive(leaves(), groups, max_leaves=4).map(parse)
SEGMENTS = st.lists(CONDITIONS, min_size=1, max_size=8).map(
    lambda conditions: {f"segment {i}": condition for i, condition in enumerate(conditions)}
)


def states_of(events: list[PublicEvent]) -> list[Facts]:
    states: list[Facts] = [{}]
    for event in events:
        states.append(fold(states[-1], event))
    return states


def differing(segments: dict[str, Condition], before: Facts | None, after: Facts) -> set[str]:
    return {
        key
        for key, condition in segments.items()
        if (before is not None and evaluate(condition, before)) != evaluate(condition, after)
    }


@settings(max_examples=200, deadline=None)
@given(SEGMENTS, histories())
def test_the_index_visits_every_segment_that_an_event_changes(
    segments: dict[str, Condition], events: list[PublicEvent]
) -> None:
    index = SegmentIndex(segments)
    states = states_of(events)

    for before, after in pairwise(states):
        assert differing(segments, before, after) <= index.affected(before, after)
    assert differing(segments, None, states[-1]) <= index.affected(None, states[-1])


@settings(max_examples=100, deadline=None)
@given(SEGMENTS, histories(), histories())
def test_the_index_visits_every_segment_that_differs_between_unrelated_facts(
    segments: dict[str, Condition], one: list[PublicEvent], other: list[PublicEvent]
) -> None:
    index = SegmentIndex(segments)
    before, after = states_of(one)[-1], states_of(other)[-1]

    assert differing(segments, before, after) <= index.affected(before, after)


@settings(max_examples=100, deadline=None)
@given(SEGMENTS, SEGMENTS, histories())
def test_an_index_changed_step_by_step_equals_one_built_at_once(
    first: dict[str, Condition], last: dict[str, Condition], events: list[PublicEvent]
) -> None:
    index = SegmentIndex(first)
    for key, condition in last.items():
        index.add(key, condition)
    for key in first.keys() - last.keys():
        index.remove(key)
    fresh = SegmentIndex(last)
    states = states_of(events)

    for before, after in zip([None, *states], states, strict=False):
        assert index.affected(before, after) == fresh.affected(before, after)
    for key in last:
        index.remove(key)
    assert index.affected(None, states[-1]) == set()


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, histories())
def test_a_condition_means_the_same_evaluated_explained_and_written_back(
    condition: Condition, events: list[PublicEvent]
) -> None:
    facts = states_of(events)[-1]
    again = parse(to_json(condition))

    assert again == condition
    assert to_json(again) == to_json(condition)
    explanation = explain(condition, facts)
    assert explanation["result"] is evaluate(condition, facts) is evaluate(again, facts)
    assert deciding_leaves(explanation)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=6) | TEXTS, st.text(max_size=12) | TEXTS, st.sampled_from(["contains", "starts_with"]))
def test_what_is_found_with_diacritics_is_found_without_them_too(part: str, text: str, op: str) -> None:
    facts = {"contacts": {"profile": {"name": text}}}

    def holds(value: str) -> bool:
        return bool(value) and evaluate(parse({"field": "profile.name", "op": op, "value": value}), facts)

    assert not holds(part) or holds(plain(part)) or not plain(part)
    assert plain(plain(text)) == plain(folded(text)) == plain(text)


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_any_interleaving_of_the_sources_gives_the_same_facts(events: list[PublicEvent], random: Any) -> None:
    by_source: dict[str, list[PublicEvent]] = {}
    for event in events:
        by_source.setdefault(event.service, []).append(event)
    order = [event.service for event in events]
    random.shuffle(order)
    queues = {source: iter(of_source) for source, of_source in by_source.items()}

    interleaved = [next(queues[source]) for source in order]

    assert states_of(interleaved)[-1] == states_of(events)[-1]
