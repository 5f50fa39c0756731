"""What segmentation says in public: definitions, and who enters and leaves."""

from collections.abc import Sequence
from typing import Any

import orjson

from crm_contracts.events import segmentation as public
from crm_shared.publishing import Publication, StatePublishing
from segmentation_service.domain import Memberships, Segment


def publish(event: Any) -> Publication | None:
    """The public event that a stored one stands for; None for what is private."""
    match event:
        case Segment.Created() | Segment.Redefined():
            segment_id = str(event.originator_id)
            return Publication(
                segment_id,
                public.SegmentDefined(
                    segment_id=segment_id,
                    key=event.key,
                    name=event.name,
                    description=event.description,
                    condition=orjson.dumps(event.condition).decode(),
                    version=1 if isinstance(event, Segment.Created) else event.definition_version,
                ),
            )
        case Segment.Retired():
            segment_id = str(event.originator_id)
            return Publication(segment_id, public.SegmentRetired(segment_id=segment_id, key=event.key))
        case Memberships.Entered():
            return Publication(event.customer_id, public.CustomerEnteredSegment(**_membership(event)))
        case Memberships.Left():
            return Publication(event.customer_id, public.CustomerLeftSegment(**_membership(event)))
    return None


def render_state(memberships: Memberships) -> Publication:
    """The segments that a customer is in."""
    customer_id = memberships.customer_id
    return Publication(customer_id, public.MembershipState(customer_id=customer_id, segments=sorted(memberships.since)))


STATES = StatePublishing(Memberships, render_state)


def _membership(event: Memberships.Entered | Memberships.Left) -> dict[str, Any]:
    return {
        "customer_id": event.customer_id,
        "segment_id": str(Segment.create_id(event.segment_key)),
        "segment_key": event.segment_key,
        "segment_name": event.segment_name,
        "definition_version": event.definition_version,
        "because": event.because,
        "values": _values(event.values),
    }


def _values(leaves: Sequence[dict[str, Any]]) -> list[public.DecidingValue]:
    return [
        public.DecidingValue(
            field=leaf["field"],
            op=leaf["op"],
            threshold=orjson.dumps(leaf["value"]).decode(),
            actual=None if leaf["actual"] is None else orjson.dumps(leaf["actual"]).decode(),
            result=leaf["result"],
        )
        for leaf in leaves
    ]
