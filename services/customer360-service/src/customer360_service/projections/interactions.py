"""What was said and bought: the section `interactions` of a customer, and what each of its events makes of it."""

from datetime import datetime
from typing import TypedDict

from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_shared.money import DECIMAL128, exact_text_sum
from customer360_service.projections.times import earlier, later


class ChannelDocument(TypedDict):
    """Interactions on one channel."""

    count: int
    last_at: datetime


class LoggedDocument(TypedDict):
    """All interactions. `by_channel` maps channel to what was said there."""

    count: int
    last_at: datetime
    by_channel: dict[str, ChannelDocument]


class SalesDocument(TypedDict):
    """Purchases in one currency. `revenue` is their exact sum, as text."""

    count: int
    revenue: str


class PurchasesDocument(TypedDict):
    """All purchases. `by_currency` maps ISO 4217 code to what was bought in it."""

    count: int
    last_at: datetime
    first_at: datetime
    by_currency: dict[str, SalesDocument]


class InteractionsSection(TypedDict, total=False):
    """The section `interactions`. `last_at` is the latest interaction or purchase."""

    interactions: LoggedDocument
    purchases: PurchasesDocument
    last_at: datetime
    first_at: datetime
    """When the earliest of its events happened: every section has it."""


def contacted(section: InteractionsSection, data: InteractionLogged, at: datetime) -> InteractionsSection:
    """With one more interaction."""
    before = section.get("interactions")
    by_channel = before["by_channel"] if before else {}
    known = by_channel.get(data.channel)
    channel: ChannelDocument = {
        "count": known["count"] + 1 if known else 1,
        "last_at": later(at, known["last_at"] if known else None),
    }
    interactions: LoggedDocument = {
        "count": before["count"] + 1 if before else 1,
        "last_at": later(at, before["last_at"] if before else None),
        "by_channel": {**by_channel, data.channel: channel},
    }
    return {**section, "interactions": interactions, "last_at": later(at, section.get("last_at"))}


def bought(section: InteractionsSection, data: PurchaseRecorded, at: datetime) -> InteractionsSection:
    """With one more purchase.

    Raises `decimal.Inexact` when the revenue has more digits than the store, which sums the timeline, can hold.
    """
    before = section.get("purchases")
    by_currency = before["by_currency"] if before else {}
    known = by_currency.get(data.total.currency)
    sales: SalesDocument = {
        "count": known["count"] + 1 if known else 1,
        "revenue": exact_text_sum(known["revenue"] if known else "0", data.total.amount, DECIMAL128),
    }
    purchases: PurchasesDocument = {
        "count": before["count"] + 1 if before else 1,
        "last_at": later(at, before["last_at"] if before else None),
        "first_at": earlier(at, before["first_at"] if before else None),
        "by_currency": {**by_currency, data.total.currency: sales},
    }
    return {**section, "purchases": purchases, "last_at": later(at, section.get("last_at"))}
