"""The rules of segments and memberships, without any server."""

from typing import Any

from crm_shared.testing import given, stored
from segmentation_service.application import (
    ChangeMemberships,
    DefineSegment,
    MembershipsChanged,
    RetireSegment,
    SegmentDefined,
    SegmentRetired,
)
from segmentation_service.conditions import parse
from segmentation_service.domain import Change, Memberships, Segment, SegmentFacts
from segmentation_service.policies.deciding import changes_by_event, command_of, departures, differences
from segmentation_service.policies.definitions import Definitions

LAN = "00000000-0000-4000-8000-000000000001"
BUYERS = SegmentFacts("buyers", "Buyers", None, {"field": "purchases.count", "op": "gte", "value": 1})
REPEAT = SegmentFacts("buyers", "Buyers", None, {"field": "purchases.count", "op": "gte", "value": 2})


def bought(count: int, *, position: int | None = None) -> dict[str, Any]:
    """The facts after so many purchases."""
    history = {"purchases": {"count": count}} if count else {}
    return {"interactions": history, "positions": {"interactions": position or count}}


def entering(key: str = "buyers", version: int = 1) -> Change:
    return Change(key, key.title(), version, member=True, because="facts_changed", values=())


def leaving(key: str = "buyers", version: int = 1) -> Change:
    return Change(key, key.title(), version, member=False, because="facts_changed", values=())


def change(*changes: Change, at: int) -> ChangeMemberships:
    return ChangeMemberships(LAN, changes, {"interactions": at})


def definitions(*facts: SegmentFacts, retired: bool = False) -> Definitions:
    found = Definitions()
    for position, one in enumerate(facts, 1):
        found.take_up(
            {
                "_id": one.key,
                "name": one.name,
                "version": 1,
                "condition": one.condition,
                "retired": retired,
                "positions": {"segmentation": position},
            }
        )
    return found


def test_a_segment_is_defined_once_and_the_same_definition_again_changes_nothing() -> None:
    segment_id = str(BUYERS.id)

    given().when(DefineSegment(BUYERS)).then(stored(Segment.Created, key="buyers", name="Buyers")).answers(
        SegmentDefined(segment_id, "buyers", 1, created=True)
    )
    given(DefineSegment(BUYERS)).when(DefineSegment(BUYERS)).then().answers(
        SegmentDefined(segment_id, "buyers", 1, created=False)
    )


def test_another_definition_has_a_higher_version_and_brings_a_retired_segment_back() -> None:
    given(DefineSegment(BUYERS)).when(DefineSegment(REPEAT)).then(stored(Segment.Redefined, definition_version=2))
    given(DefineSegment(BUYERS), RetireSegment("buyers")).when(DefineSegment(BUYERS)).then(
        stored(Segment.Redefined, definition_version=2)
    )


def test_a_segment_is_retired_once() -> None:
    given(DefineSegment(BUYERS)).when(RetireSegment("buyers")).then(stored(Segment.Retired)).answers(
        SegmentRetired(str(BUYERS.id), "buyers")
    )
    given(DefineSegment(BUYERS), RetireSegment("buyers")).when(RetireSegment("buyers")).refused("not_found")
    given().when(RetireSegment("buyers")).refused("not_found")


def test_a_customer_enters_and_leaves() -> None:
    given().when(change(entering(), at=1)).then(
        stored(Memberships.Created, customer_id=LAN),
        stored(Memberships.Entered, segment_key="buyers", decided_at={"interactions": 1}),
    ).answers(MembershipsChanged(LAN, ["buyers"]))
    given(change(entering(), at=1)).when(change(leaving(), at=2)).then(stored(Memberships.Left)).answers(
        MembershipsChanged(LAN, [])
    )


def test_the_same_decision_again_has_no_effect() -> None:
    given(change(entering(), at=1)).when(change(entering(), at=1)).then()


def test_older_facts_decide_nothing_any_more() -> None:
    given(change(entering(), at=1), change(leaving(), at=3)).when(change(entering(), at=2)).then()


def test_who_leaves_what_nobody_was_in_leaves_nothing_behind() -> None:
    given().when(change(leaving(), at=1)).then().answers(MembershipsChanged(LAN, []))


def test_an_event_decides_where_it_changes_the_result_and_nowhere_else() -> None:
    known = definitions(BUYERS)

    assert [one.member for one in changes_by_event(known, None, bought(1))] == [True]
    assert changes_by_event(known, bought(1), bought(2)) == []
    assert changes_by_event(definitions(BUYERS, retired=True), None, bought(1)) == []


def test_an_unknown_customer_enters_what_nothing_known_keeps_them_out_of() -> None:
    without = SegmentFacts("silent", "Silent", None, {"field": "purchases.count", "op": "eq", "value": 0})

    assert [one.segment_key for one in changes_by_event(definitions(without), None, bought(0, position=1))] == [
        "silent"
    ]


def test_everybody_is_moved_to_where_the_facts_lead_and_for_the_reason_given() -> None:
    members = Memberships.open(LAN)
    members.change(entering("buyers"), {"interactions": 1})

    changes = differences(definitions(REPEAT), bought(1), members, {"buyers": "segment_defined", "unknown": "x"})

    assert [(one.segment_key, one.member, one.because) for one in changes] == [("buyers", False, "segment_defined")]
    assert differences(definitions(BUYERS), bought(1), members, {"buyers": "segment_defined"}) == []


def test_a_retired_segment_is_left_whatever_the_facts_say_and_however_old_they_are() -> None:
    members = Memberships.open(LAN)
    members.change(entering("buyers"), {"interactions": 5, "contacts": 2})

    changes = departures(definitions(BUYERS, retired=True), members)
    command = command_of(LAN, changes, bought(3), members)

    assert [(one.member, one.because) for one in changes] == [(False, "segment_retired")]
    assert command.decided_at == {"interactions": 5, "contacts": 2}
    given(change(entering(), at=5)).when(command).then(stored(Memberships.Left, because="segment_retired"))


def test_the_condition_of_a_definition_is_the_one_that_was_defined() -> None:
    assert definitions(BUYERS).in_use["buyers"].condition == parse(BUYERS.condition)
