"""The fold of a customer's document: one section per source, each touched by that source's events only.

Sources are not ordered among each other, so nothing in one section may depend on another: then every interleaving
of them gives the same document. What combines sections is computed when it is asked for.

A payload is read through its contract's model, so one that breaks the contract raises here and its customer is parked.
"""

from datetime import datetime
from typing import Any

from crm_contracts.changes import apply_changes, known_values
from crm_contracts.envelope import PublicEvent
from crm_contracts.events.contacts import (
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerTagged,
    CustomerUntagged,
    Identifier,
    IdentityLinked,
    PreferencesChanged,
)
from crm_contracts.events.feedback import QuestionAnswer, SurveyAnswered
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.events.segmentation import CustomerEnteredSegment, CustomerLeftSegment
from crm_shared.mongo import Document
from customer360_service.projections.money import exact_sum
from customer360_service.projections.nps import nps_group
from customer360_service.projections.search import search_words
from customer360_service.projections.times import earliest, latest, stored

Section = dict[str, Any]


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The customer's document after the event."""
    before = document or {}
    section: Section = before.get(event.service) or {}
    at = stored(event.occurred_at)
    match event.name:
        case "CustomerIdentified":
            after = _identified(CustomerIdentified.model_validate(event.data))
            if "preferences" in section:
                after["preferences"] = section["preferences"]
        case "CustomerDetailsChanged":
            after = _details_changed(section, CustomerDetailsChanged.model_validate(event.data))
        case "IdentityLinked":
            after = _linked(section, IdentityLinked.model_validate(event.data).identifier)
        case "CustomerTagged":
            tag = CustomerTagged.model_validate(event.data).tag
            after = {**section, "tags": [*(one for one in section.get("tags", ()) if one != tag), tag]}
        case "CustomerUntagged":
            tag = CustomerUntagged.model_validate(event.data).tag
            after = {**section, "tags": [one for one in section.get("tags", ()) if one != tag]}
        case "PreferencesChanged":
            preferences = PreferencesChanged.model_validate(event.data).preferences
            after = {**section, "preferences": known_values(preferences.model_dump())}
        case "InteractionLogged":
            after = _interaction(section, InteractionLogged.model_validate(event.data), at)
        case "PurchaseRecorded":
            after = _purchase(section, PurchaseRecorded.model_validate(event.data), at)
        case "CustomerEnteredSegment":
            after = _entered(section, CustomerEnteredSegment.model_validate(event.data), at)
        case "CustomerLeftSegment":
            left = CustomerLeftSegment.model_validate(event.data).segment_key
            segments = section.get("segments") or {}
            after = {**section, "segments": {key: one for key, one in segments.items() if key != left}}
        case "SurveyAnswered":
            after = _answered(section, SurveyAnswered.model_validate(event.data), at)
        case unknown:
            raise ValueError(f"{unknown} does not concern a customer")
    after["first_at"] = earliest(section.get("first_at"), at)
    return {**before, event.service: after}


def _identified(data: CustomerIdentified) -> Section:
    profile = known_values(data.profile.model_dump())
    return {
        "identifiers": [_identifier(one) for one in data.identifiers],
        "profile": profile,
        "tags": data.tags,
        "attributes": known_values(data.attributes or {}),
        "search": search_words(profile.get("name"), data.identifiers),
    }


def _details_changed(section: Section, data: CustomerDetailsChanged) -> Section:
    changed = data.changed
    profile = apply_changes(section.get("profile") or {}, changed, data.profile.model_dump(), "/profile")
    profile = known_values(profile)
    return {
        **section,
        "profile": profile,
        "attributes": apply_changes(section.get("attributes") or {}, changed, data.attributes or {}, "/attributes"),
        "search": search_words(profile.get("name"), _identifiers(section)),
    }


def _linked(section: Section, identifier: Identifier) -> Section:
    identifiers = [one for one in _identifiers(section) if one != identifier] + [identifier]
    return {
        **section,
        "identifiers": [_identifier(one) for one in identifiers],
        "search": search_words((section.get("profile") or {}).get("name"), identifiers),
    }


def _identifier(identifier: Identifier) -> dict[str, Any]:
    return identifier.model_dump(exclude_none=True)


def _identifiers(section: Section) -> list[Identifier]:
    return [Identifier.model_validate(one) for one in section.get("identifiers", ())]


def _interaction(section: Section, data: InteractionLogged, at: datetime) -> Section:
    all_before = section.get("interactions") or {}
    by_channel = all_before.get("by_channel") or {}
    channel = _counted(by_channel.get(data.channel) or {}, at)
    interactions = {**_counted(all_before, at), "by_channel": {**by_channel, data.channel: channel}}
    return {**section, "interactions": interactions, "last_at": latest(section.get("last_at"), at)}


def _purchase(section: Section, data: PurchaseRecorded, at: datetime) -> Section:
    all_before = section.get("purchases") or {}
    by_currency = all_before.get("by_currency") or {}
    before = by_currency.get(data.total.currency) or {"count": 0, "revenue": "0"}
    currency = {"count": before["count"] + 1, "revenue": exact_sum(before["revenue"], data.total.amount)}
    purchases = {
        **_counted(all_before, at),
        "first_at": earliest(all_before.get("first_at"), at),
        "by_currency": {**by_currency, data.total.currency: currency},
    }
    return {**section, "purchases": purchases, "last_at": latest(section.get("last_at"), at)}


def _entered(section: Section, data: CustomerEnteredSegment, at: datetime) -> Section:
    membership = {"name": data.segment_name, "since": at}
    return {**section, "segments": {**(section.get("segments") or {}), data.segment_key: membership}}


def _answered(section: Section, data: SurveyAnswered, at: datetime) -> Section:
    """Of two responses at the same time, the one recorded later counts as the latest."""
    after = _counted(section, at)
    surveys = section.get("latest") or {}
    known = surveys.get(data.survey_key)
    if known is None or known["answered_at"] <= at:
        answers = {one.question: _value(one) for one in data.answers}
        response = {"response_id": data.response_id, "answered_at": at, "answers": answers}
        after["latest"] = {**surveys, data.survey_key: response}
    for answer in data.answers:
        group = nps_group(answer.kind, answer.number)
        if group is not None:
            counts = after.get("nps_counts") or {}
            after["nps_counts"] = {**counts, group: counts.get(group, 0) + 1}
            if "nps" not in after or after["nps"]["at"] <= at:
                after["nps"] = {"number": answer.number, "at": at}
    return after


def _value(answer: QuestionAnswer) -> int | str | None:
    return next((one for one in (answer.number, answer.choice, answer.text) if one is not None), None)


def _counted(before: Section, at: datetime) -> Section:
    return {**before, "count": before.get("count", 0) + 1, "last_at": latest(before.get("last_at"), at)}
