"""Deciding about memberships: pure functions of definitions, facts, and what was decided before."""

from collections.abc import Mapping
from datetime import datetime

from crm_shared.mongo import Document
from segmentation_service.application import ChangeMemberships
from segmentation_service.conditions import deciding_leaves, evaluate, explain
from segmentation_service.domain import Change, Memberships
from segmentation_service.policies.definitions import Definition, Definitions


def changes_by_event(definitions: Definitions, before: Document | None, after: Document) -> list[Change]:
    """What changes when the facts `before` become those `after`; `before` is None for an unknown customer."""
    changes: list[Change] = []
    for key in sorted(definitions.index.affected(before, after)):
        definition = definitions.in_use[key]
        member = evaluate(definition.condition, after)
        if member != (before is not None and evaluate(definition.condition, before)):
            changes.append(_change(definition, after, member, "facts_changed"))
    return changes


def differences(
    definitions: Definitions, facts: Document, memberships: Memberships | None, reasons: Mapping[str, str]
) -> list[Change]:
    """What must change in memberships to be where the facts lead; `reasons` by the keys of segments looked at."""
    changes: list[Change] = []
    member_of = memberships.since if memberships else {}
    for key in sorted(reasons.keys() & definitions.in_use.keys()):
        definition = definitions.in_use[key]
        member = evaluate(definition.condition, facts)
        if member != (key in member_of):
            changes.append(_change(definition, facts, member, reasons[key]))
    return changes


def departures(definitions: Definitions, memberships: Memberships) -> list[Change]:
    """That a customer leaves each retired segment that they are still in, whatever the facts say."""
    return [
        Change(key, definition.name, definition.version, member=False, because="segment_retired", values=())
        for key in sorted(memberships.since.keys() & definitions.retired.keys())
        for definition in (definitions.retired[key],)
    ]


def command_of(
    customer_id: str,
    changes: list[Change],
    facts: Document,
    memberships: Memberships | None,
    at: datetime | None = None,
) -> ChangeMemberships:
    """The command for changes that these facts ask for, or that hold whatever the facts are."""
    decided_at = dict(memberships.decided_at) if memberships else {}
    for source, position in facts["positions"].items():
        decided_at[source] = max(position, decided_at.get(source, 0))
    return ChangeMemberships(customer_id, changes, decided_at, at)


def _change(definition: Definition, facts: Document, member: bool, because: str) -> Change:
    values = deciding_leaves(explain(definition.condition, facts))
    return Change(definition.key, definition.name, definition.version, member, because, values)
