"""Facts: what segments know of one customer, and how public events fold into it.

A facts document is plain JSON (and BSON): a section per source service, so that the order in which two sources'
events arrive cannot change the result. Keys at the top that are not sections are kept as they are.

    {"contacts":     {"identified": true, "profile": {...}, "tags": [sorted], "attributes": {name: scalar},
                      "preferences": {...}},
     "interactions": {"logged":    {"count", "first_at", "last_at", "by_channel": {channel: {"count", "last_at"}}},
                      "purchases": {"count", "first_at", "last_at",
                                    "by_currency": {currency: {"count", "revenue", "average"}}}},
     "feedback":     {"count", "last_at", "nps": answer, "answers": {survey: {question: answer}}}}
    answer: {"value": number | string, "at": time, "sequence": log position of the event}

Times are text of one fixed width in UTC (`1997-01-01T00:00:00.000000Z`), which therefore sort as text. Money is
decimal text. What is null in an event is absent here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from crm_contracts.changes import apply_changes, known_values
from crm_contracts.envelope import PublicEvent

Facts = dict[str, Any]

_NOTHING_KNOWN: Facts = {"contacts": {}, "interactions": {}, "feedback": {}}
# An amount that a hundred digits cannot hold is no money; the sum is exact or it fails.
_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])
_ROUNDED = Context(prec=100, traps=[InvalidOperation])
# Finer than the minor unit of any currency in ISO 4217 (at most four decimals).
_AVERAGE_STEP = Decimal("0.0001")


def fold(document: Facts | None, event: PublicEvent) -> Facts:
    """The facts after `event`, sharing what it did not touch; `document` itself for events that say nothing here.

    Within a source, events are expected once each and in log order; their times may go back (imports).
    """
    before = {**_NOTHING_KNOWN, **(document or {})}
    data, customer, history = event.data, before["contacts"], before["interactions"]
    match (event.source, event.name):
        case ("contacts", "CustomerIdentified"):
            return {**before, "contacts": _identified(customer, data)}
        case ("contacts", "CustomerDetailsChanged"):
            return {**before, "contacts": _details_changed(customer, data)}
        case ("contacts", "CustomerTagged"):
            tags = {*customer.get("tags", ()), data["tag"]}
            return {**before, "contacts": {**customer, "tags": sorted(tags)}}
        case ("contacts", "CustomerUntagged"):
            tags = {*customer.get("tags", ())} - {data["tag"]}
            return {**before, "contacts": {**customer, "tags": sorted(tags)}}
        case ("contacts", "PreferencesChanged"):
            return {**before, "contacts": {**customer, "preferences": known_values(data["preferences"])}}
        case ("interactions", "InteractionLogged"):
            logged = _logged(history.get("logged", {}), data["channel"], stored_time(event.occurred_at))
            return {**before, "interactions": {**history, "logged": logged}}
        case ("interactions", "PurchaseRecorded"):
            purchases = _purchased(history.get("purchases", {}), data["total"], stored_time(event.occurred_at))
            return {**before, "interactions": {**history, "purchases": purchases}}
        case ("feedback", "SurveyAnswered"):
            answered = _answered(before["feedback"], data, stored_time(event.occurred_at), event.sequence)
            return {**before, "feedback": answered}
        case _:
            return before if document is None else document


def stored_time(moment: datetime) -> str:
    """A time with a zone as text of fixed width in UTC; raises OverflowError outside years 1 to 9999."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


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


def _purchased(purchases: Facts, total: Mapping[str, Any], at: str) -> Facts:
    by_currency: Facts = purchases.get("by_currency", {})
    currency = total["currency"]
    before: Facts = by_currency.get(currency, {})
    amount = Decimal(total["amount"])
    if not amount.is_finite():
        raise ValueError(f"not an amount of money: {total['amount']!r}")
    count = before.get("count", 0) + 1
    revenue = _EXACT.add(Decimal(before.get("revenue", "0")), amount)
    average = _ROUNDED.quantize(_ROUNDED.divide(revenue, Decimal(count)), _AVERAGE_STEP)
    in_currency = {
        "count": count,
        "revenue": format(revenue, "f"),
        "average": format(average.normalize(_ROUNDED), "f"),
    }
    return {**_counted(purchases, at), "by_currency": {**by_currency, currency: in_currency}}


def _counted(history: Facts, at: str) -> Facts:
    return {
        **history,
        "count": history.get("count", 0) + 1,
        "first_at": min(history.get("first_at", at), at),
        "last_at": max(history.get("last_at", at), at),
    }


def _answered(section: Facts, data: Mapping[str, Any], at: str, sequence: int) -> Facts:
    survey = data["survey_key"]
    answers: Facts = section.get("answers", {})
    of_survey: Facts = dict(answers.get(survey, {}))
    nps: Facts | None = section.get("nps")
    for answer in data["answers"]:
        value = next((answer[kind] for kind in ("number", "choice", "text") if answer.get(kind) is not None), None)
        if value is None:
            continue
        latest = {"value": value, "at": at, "sequence": sequence}
        question = answer["question"]
        of_survey[question] = _later(of_survey.get(question), latest)
        if answer["kind"] == "nps":
            nps = _later(nps, latest)
    after = {
        **section,
        "count": section.get("count", 0) + 1,
        "last_at": max(section.get("last_at", at), at),
        "answers": {**answers, survey: of_survey},
    }
    return after if nps is None else {**after, "nps": nps}


def _later(known: Facts | None, new: Facts) -> Facts:
    """The answer that was given last: by when it was given, then by the order in the log."""
    if known is None or (new["at"], new["sequence"]) >= (known["at"], known["sequence"]):
        return new
    return known
