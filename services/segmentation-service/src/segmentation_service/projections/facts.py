"""The view of facts: what segments know of one customer, which is what decides about memberships."""

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from pymongo import IndexModel

from crm_contracts.changes import apply_changes, known_values
from crm_contracts.envelope import PublicEvent
from crm_contracts.events.contacts import (
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerTagged,
    CustomerUntagged,
    PreferencesChanged,
)
from crm_contracts.events.feedback import QuestionAnswer, SurveyAnswered
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.types import Money
from crm_shared.money import exact_text_sum
from crm_shared.projections import Lookup, Projection, unexpected
from segmentation_service.facts import Facts, stored_time

_NOTHING_KNOWN: Facts = {"contacts": {}, "interactions": {}, "feedback": {}}
_ROUNDED = Context(prec=100, traps=[InvalidOperation])
# Finer than the minor unit of any currency in ISO 4217 (at most four decimals).
_AVERAGE_STEP = Decimal("0.0001")


def fold(document: Facts | None, event: PublicEvent) -> Facts:
    """The facts after `event`, sharing what it did not touch.

    Within a source, events are expected once each and in log order; their times may go back (imports).
    """
    before = {**_NOTHING_KNOWN, **(document or {})}
    data, customer, history = event.data, before["contacts"], before["interactions"]
    match event.payload:
        case CustomerIdentified():
            return {**before, "contacts": _identified(customer, data)}
        case CustomerDetailsChanged():
            return {**before, "contacts": _details_changed(customer, data)}
        case CustomerTagged(tag=tag):
            return {**before, "contacts": {**customer, "tags": sorted({*customer.get("tags", ()), tag})}}
        case CustomerUntagged(tag=tag):
            return {**before, "contacts": {**customer, "tags": sorted({*customer.get("tags", ())} - {tag})}}
        case PreferencesChanged():
            return {**before, "contacts": {**customer, "preferences": known_values(data["preferences"])}}
        case InteractionLogged(channel=channel):
            logged = _logged(history.get("logged", {}), channel, stored_time(event.occurred_at))
            return {**before, "interactions": {**history, "logged": logged}}
        case PurchaseRecorded(total=total):
            purchases = _purchased(history.get("purchases", {}), total, stored_time(event.occurred_at))
            return {**before, "interactions": {**history, "purchases": purchases}}
        case SurveyAnswered() as answered:
            at = stored_time(event.occurred_at)
            return {**before, "feedback": _answered(before["feedback"], answered, at, event.sequence)}
        case _:
            unexpected(event)


def _identified(customer: Facts, data: Mapping[str, Any]) -> Facts:
    return {
        **customer,
        "identified": True,
        "profile": known_values(data["profile"]),
        "tags": sorted({*data["tags"]}),
        "attributes": known_values(data.get("attributes") or {}),
    }


def _details_changed(customer: Facts, data: Mapping[str, Any]) -> Facts:
    changed = data["changed"]
    return {
        **customer,
        "profile": apply_changes(customer.get("profile", {}), changed, data["profile"], "/profile"),
        "attributes": apply_changes(
            customer.get("attributes", {}), changed, data.get("attributes") or {}, "/attributes"
        ),
    }


def _logged(logged: Facts, channel: str, at: str) -> Facts:
    by_channel: Facts = logged.get("by_channel", {})
    of_channel: Facts = by_channel.get(channel, {})
    counted = {"count": of_channel.get("count", 0) + 1, "last_at": max(of_channel.get("last_at", at), at)}
    return {**_counted(logged, at), "by_channel": {**by_channel, channel: counted}}


def _purchased(purchases: Facts, total: Money, at: str) -> Facts:
    by_currency: Facts = purchases.get("by_currency", {})
    before: Facts = by_currency.get(total.currency, {})
    count = before.get("count", 0) + 1
    revenue = exact_text_sum(before.get("revenue", "0"), total.amount)
    average = _ROUNDED.quantize(_ROUNDED.divide(Decimal(revenue), Decimal(count)), _AVERAGE_STEP)
    in_currency = {
        "count": count,
        "revenue": revenue,
        "average": format(average.normalize(_ROUNDED), "f"),
    }
    return {**_counted(purchases, at), "by_currency": {**by_currency, total.currency: in_currency}}


def _counted(history: Facts, at: str) -> Facts:
    return {
        **history,
        "count": history.get("count", 0) + 1,
        "first_at": min(history.get("first_at", at), at),
        "last_at": max(history.get("last_at", at), at),
    }


def _answered(section: Facts, answered: SurveyAnswered, at: str, sequence: int) -> Facts:
    answers: Facts = section.get("answers", {})
    of_survey: Facts = dict(answers.get(answered.survey_key, {}))
    nps: Facts | None = section.get("nps")
    for answer in answered.answers:
        value = _value_of(answer)
        if value is None:
            continue
        latest = {"value": value, "at": at, "sequence": sequence}
        of_survey[answer.question] = _later(of_survey.get(answer.question), latest)
        if answer.kind == "nps":
            nps = _later(nps, latest)
    after = {
        **section,
        "count": section.get("count", 0) + 1,
        "last_at": max(section.get("last_at", at), at),
        "answers": {**answers, answered.survey_key: of_survey},
    }
    return after if nps is None else {**after, "nps": nps}


def _value_of(answer: QuestionAnswer) -> int | str | None:
    return next((value for value in (answer.number, answer.choice, answer.text) if value is not None), None)


def _later(known: Facts | None, new: Facts) -> Facts:
    """The answer that was given last: by when it was given, then by the order in the log."""
    if known is None or (new["at"], new["sequence"]) >= (known["at"], known["sequence"]):
        return new
    return known


FACTS = Projection(
    name="segmentation-service.customers",
    events=[
        CustomerIdentified,
        CustomerDetailsChanged,
        CustomerTagged,
        CustomerUntagged,
        PreferencesChanged,
        InteractionLogged,
        PurchaseRecorded,
        SurveyAnswered,
    ],
    collection="customers",
    fold=fold,
    # Everybody of a partition is found by it, to be evaluated.
    lookup=Lookup("customers_lookup", lambda document: {}, by_partition=True),
    indexes={"customers_lookup": [IndexModel([("partition", 1), ("_id", 1)])]},
    gather_seconds=0.05,
    # Without memberships, which the first layout kept in the same document.
    layout=2,
)
