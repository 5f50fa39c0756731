"""Response models of customer360. The description of each key figure is its definition."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

PerCurrency = dict[str, str]


class IdentifierOut(BaseModel):
    """Something that names the customer in some system."""

    type: str = Field(description="Open enumeration; known: email, phone, external")
    value: str | None
    system: str | None


class ChannelOut(BaseModel):
    """Interactions on one channel."""

    count: int
    last_at: datetime


class InteractionsOut(BaseModel):
    """What was said."""

    count: int
    last_at: datetime | None
    by_channel: dict[str, ChannelOut]


class PurchasesOut(BaseModel):
    """What was bought."""

    count: int
    revenue: PerCurrency = Field(description="Exact sum of all purchases, per currency")
    average: PerCurrency = Field(description="Revenue divided by purchases in that currency, to two places")
    first_at: datetime | None
    last_at: datetime | None


class SegmentOut(BaseModel):
    """A segment that the customer is in now."""

    key: str
    name: str = Field(description="As it was when the customer entered")
    since: datetime


class ResponseOut(BaseModel):
    """The latest response to one survey, by the time of answering."""

    response_id: str
    answered_at: datetime
    answers: dict[str, int | str | None] = Field(description="Question key to answer")


class FeedbackOut(BaseModel):
    """What the customer answered."""

    count: int
    last_at: datetime | None
    latest: dict[str, ResponseOut] = Field(description="Survey key to the latest response")
    nps: int | None = Field(description="The latest answer to an NPS question in any survey, 0 to 10")


class CustomerOut(BaseModel):
    """The customer 360: everything that is known of one customer, from every source."""

    customer_id: str
    identified: bool = Field(description="Whether contacts has announced the customer; without, details are empty")
    identifiers: list[IdentifierOut]
    profile: dict[str, Any] = Field(description="What is known of: kind, name, birth_date, gender, language, ...")
    tags: list[str]
    attributes: dict[str, Any] = Field(description="Custom attributes")
    preferences: dict[str, Any] | None = Field(description="Null until the customer states any")
    interactions: InteractionsOut
    purchases: PurchasesOut
    segments: list[SegmentOut]
    feedback: FeedbackOut
    first_seen_at: datetime | None = Field(description="When the earliest event of any source happened")
    last_activity_at: datetime | None = Field(description="When the customer last interacted, bought or answered")
    positions: dict[str, int] = Field(description="Source to the last log position that this view holds of it")


class PurchasesSummaryOut(BaseModel):
    """Purchases in a list of customers."""

    count: int
    revenue: PerCurrency


class CustomerSummaryOut(BaseModel):
    """A customer in a list."""

    customer_id: str
    identified: bool
    name: str | None
    identifiers: list[IdentifierOut]
    purchases: PurchasesSummaryOut
    last_activity_at: datetime | None


class TimelineEntryOut(BaseModel):
    """One event of a customer's history."""

    event_id: str
    type: str = Field(examples=["PurchaseRecorded"])
    source: str = Field(examples=["interactions"], description="The service that published the event")
    occurred_at: datetime
    recorded_at: datetime
    position: int = Field(description="In the log of the source")
    summary: str = Field(examples=["Bought 2 × cd for 29.33 USD at cdnow"])
    data: dict[str, Any] = Field(description="The event's payload, without nulls and without the customer's id")


class PeriodOut(BaseModel):
    """The half-open period [from, to); null is without bound."""

    from_: datetime | None = Field(alias="from")
    to: datetime | None


class NpsOut(BaseModel):
    """Answers to NPS questions. Several answers of one customer in the period all count."""

    score: float = Field(
        description="Percentage of promoters less percentage of detractors, -100 to 100, to one place. Source:"
        " Reichheld, The One Number You Need to Grow, Harvard Business Review 81 (12), 2003"
    )
    promoters: int = Field(description="Answers 9 and 10")
    passives: int = Field(description="Answers 7 and 8")
    detractors: int = Field(description="Answers 0 to 6")
    count: int = Field(description="All answers")


class KpisOut(BaseModel):
    """Key figures. What happened counts by the time it happened, whenever it was recorded.

    Averages are rounded once, halves to the even digit. Purchases of customers that are not identified (yet) count.
    """

    period: PeriodOut
    customers: int = Field(description="Identified customers at the end of the period: first known to contacts before")
    unidentified_customers: int = Field(
        description="Customers of whom some source spoke of before the end of the period, and whom contacts has not"
        " announced; not among `customers`"
    )
    active_customers: int = Field(
        description="Customers, identified or not, with an interaction, a purchase (in any currency) or a survey answer"
        " in the period"
    )
    purchasing_customers: int = Field(description="Customers, identified or not, with a purchase in the period")
    purchases: int = Field(description="Purchases in the period")
    revenue: PerCurrency = Field(description="Exact sum of the totals of the period's purchases, per currency")
    average_order_value: PerCurrency = Field(
        description="Revenue divided by the purchases in that currency, to two places"
    )
    revenue_per_customer: PerCurrency = Field(
        description="Revenue divided by `active_customers`, to two places: average revenue per user (ARPU), with those"
        " as users who were active in the same period; not by all customers, and not by the purchasing ones only"
    )
    repeat_rate: str | None = Field(
        examples=["0.4321"],
        description="Customers with two or more purchases in the period divided by `purchasing_customers`, to four"
        " places; null without purchases",
    )
    nps: NpsOut | None = Field(description="Net promoter score of the period's answers; null without answers")
