"""The rows of the timeline: one per event, with what key figures are summed from.

The payload is kept as JSON text: nothing is asked of its inside, and text is quicker to store than nested documents
and takes any name and number that JSON can hold. Sentences about events are made when they are asked for.
"""

from collections import Counter
from datetime import datetime
from typing import Any, NotRequired, TypedDict

import orjson
from bson.decimal128 import Decimal128

from crm_contracts.envelope import PublicEvent
from crm_shared.projections import Document
from customer360_service.projections.nps import nps_group
from customer360_service.projections.times import stored

PURCHASE = "PurchaseRecorded"
INTERACTION = "InteractionLogged"
ANSWER = "SurveyAnswered"
# What a customer does, as opposed to what is found out or decided about the customer.
ACTIVITIES = (INTERACTION, PURCHASE, ANSWER)


class TimelineRow(TypedDict):
    """One event of a customer; `_id` is the event's id.

    `data` is the payload as JSON text, without nulls and without the customer's id. Of a purchase there are `amount`
    and `currency`, of a survey's answers how many fell into each of `NPS_GROUPS`, absent for none.
    """

    _id: NotRequired[str]
    customer_id: str
    type: str
    source: str
    position: int
    occurred_at: datetime
    recorded_at: datetime
    data: str
    amount: NotRequired[Decimal128]
    currency: NotRequired[str]
    promoters: NotRequired[int]
    passives: NotRequired[int]
    detractors: NotRequired[int]


def row(event: PublicEvent) -> Document:
    """The `TimelineRow` of an event that `fold` has accepted; the projection adds its `_id`."""
    payload = {name: _lean(value) for name, value in event.data.items() if name != "customer_id" and value is not None}
    common: TimelineRow = {
        "customer_id": event.key,
        "type": event.name,
        "source": event.service,
        "position": event.sequence,
        "occurred_at": stored(event.occurred_at),
        "recorded_at": stored(event.recorded_at),
        "data": orjson.dumps(payload).decode(),
    }
    return {**common, **_figures(event)}


def _figures(event: PublicEvent) -> dict[str, Any]:
    match event.name:
        case "PurchaseRecorded":
            total = event.data["total"]
            return {"amount": Decimal128(total["amount"]), "currency": total["currency"]}
        case "SurveyAnswered":
            groups = (nps_group(answer["kind"], answer.get("number")) for answer in event.data["answers"])
            return dict(Counter(group for group in groups if group is not None))
        case _:
            return {}


def _lean(value: Any) -> Any:
    """The value without nulls in its objects: in the contract, absent and null mean the same."""
    if isinstance(value, dict):
        return {name: _lean(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_lean(inner) for inner in value]
    return value
