"""Key figures: every number against a straightforward count of the same history."""

import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_contracts.envelope import PublicEvent, rfc3339
from crm_contracts.events import contacts, feedback, interactions
from crm_contracts.registry import EventData
from crm_contracts.types import Money
from crm_shared.projections import DocumentProjection
from customer360_service.main import DEFINITION
from customer360_service.projections import CUSTOMERS

START = datetime(1997, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SOME_UUID = "c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f"


@dataclass(frozen=True)
class Happening:
    """One thing in the life of a customer, as the straightforward count sees it."""

    customer: UUID
    at: datetime
    kind: str
    amount: Decimal = Decimal(0)
    currency: str = ""
    numbers: tuple[int, ...] = ()

    def data(self) -> EventData:
        who = str(self.customer)
        match self.kind:
            case "identified":
                return contacts.CustomerIdentified(
                    customer_id=who, source="pos", identifiers=[], profile=contacts.Profile(), tags=[]
                )
            case "purchase":
                return interactions.PurchaseRecorded(
                    purchase_id=SOME_UUID,
                    customer_id=who,
                    system="pos",
                    order_id="1",
                    total=Money(amount=str(self.amount), currency=self.currency),
                    lines=[],
                )
            case "interaction":
                return interactions.InteractionLogged(
                    interaction_id=SOME_UUID, customer_id=who, channel="web", direction="inbound"
                )
            case _:
                return feedback.SurveyAnswered(
                    response_id=SOME_UUID,
                    survey_id=SOME_UUID,
                    survey_key="nps",
                    survey_version=1,
                    customer_id=who,
                    answers=[
                        feedback.QuestionAnswer(question=f"q{i}", kind="nps", number=number)
                        for i, number in enumerate(self.numbers)
                    ],
                )


def made_up_history(seed: int, length: int) -> list[Happening]:
    """A history of 40 customers in 100 days; every fifth is never identified."""
    drawn = random.Random(seed)
    people = [UUID(int=number) for number in range(1, 41)]
    history = [Happening(one, START + drawn.randrange(100) * DAY, "identified") for one in people if one.int % 5]
    for _ in range(length):
        who, at = drawn.choice(people), START + drawn.randrange(100) * DAY
        match drawn.randrange(4):
            case 0:
                history.append(Happening(who, at, "interaction"))
            case 1:
                numbers = tuple(drawn.randrange(11) for _ in range(drawn.randrange(3)))
                history.append(Happening(who, at, "answer", numbers=numbers))
            case _:
                currency = drawn.choice(["USD", "USD", "VND"])
                amount = Decimal(drawn.randrange(100_000)) / (100 if currency == "USD" else 1)
                history.append(Happening(who, at, "purchase", amount, currency))
    drawn.shuffle(history)
    return history


def counted(
    history: list[Happening], start: datetime | None = None, end: datetime | None = None, currency: str | None = None
) -> dict[str, Any]:
    """The key figures, one after the other, as their definitions read."""
    before_end = [one for one in history if end is None or one.at < end]
    period = [one for one in before_end if start is None or one.at >= start]
    known = {one.customer for one in before_end if one.kind == "identified"}
    ever_known = {one.customer for one in history if one.kind == "identified"}
    purchases = [one for one in period if one.kind == "purchase" and currency in (None, one.currency)]
    active = {one.customer for one in period if one.kind != "identified"}
    each = Counter(one.customer for one in purchases)
    revenue: dict[str, Decimal] = defaultdict(Decimal)
    for one in purchases:
        revenue[one.currency] += one.amount
    orders = Counter(one.currency for one in purchases)
    numbers = [number for one in period if one.kind == "answer" for number in one.numbers]
    promoters, detractors = sum(one >= 9 for one in numbers), sum(one <= 6 for one in numbers)
    repeat = sum(count >= 2 for count in each.values())
    return {
        "period": {"from": rfc3339(start) if start else None, "to": rfc3339(end) if end else None},
        "customers": len(known),
        "unidentified_customers": len({one.customer for one in before_end} - ever_known),
        "active_customers": len(active),
        "purchasing_customers": len(each),
        "purchases": len(purchases),
        "revenue": {key: format(amount, "f") for key, amount in revenue.items()},
        "average_order_value": {key: f"{amount / orders[key]:.2f}" for key, amount in revenue.items()},
        "revenue_per_customer": {key: f"{amount / len(active):.2f}" for key, amount in revenue.items()},
        "repeat_rate": f"{Decimal(repeat) / len(each):.4f}" if each else None,
        "nps": {
            "score": float(round(Decimal(100 * (promoters - detractors)) / len(numbers), 1)),
            "promoters": promoters,
            "passives": len(numbers) - promoters - detractors,
            "detractors": detractors,
            "count": len(numbers),
        }
        if numbers
        else None,
    }


async def filled(
    launch: Callable[..., Awaitable[Any]], happened: Callable[..., PublicEvent], history: list[Happening]
) -> httpx.AsyncClient:
    launched = await launch(DEFINITION, roles=("api",))
    projection = DocumentProjection(launched.runtime.database, CUSTOMERS)
    await projection.prepare(1)
    events = [happened(one.data(), position, one.at) for position, one in enumerate(history, 1)]
    assert not await projection.apply(events)
    client: httpx.AsyncClient = launched.client
    return client


async def test_key_figures_of_any_period_equal_a_straightforward_count(
    launch: Callable[..., Awaitable[Any]], happened: Callable[..., PublicEvent]
) -> None:
    # Given a history that was recorded in another order than it happened in
    history = made_up_history(seed=1, length=400)
    client = await filled(launch, happened, history)

    # When key figures are asked for periods with and without bounds, for all currencies and for one
    periods = [
        (None, None),
        (START, None),
        (None, START + 50 * DAY),
        (START + 20 * DAY, START + 21 * DAY),
        (START + 20 * DAY, START + 60 * DAY),
        (START + 200 * DAY, START + 300 * DAY),
        (None, START),
    ]
    for start, end in periods:
        for currency in (None, "USD", "VND", "EUR"):
            asked = {
                "from": rfc3339(start) if start else None,
                "to": rfc3339(end) if end else None,
                "currency": currency,
            }
            params = {name: value for name, value in asked.items() if value is not None}
            answer = (await client.get("/v1/kpis", params=params)).json()

            # Then each figure is what its definition says
            assert answer == counted(history, start, end, currency), params


async def test_without_any_events_there_are_zeros_and_no_rates(
    launch: Callable[..., Awaitable[Any]], happened: Callable[..., PublicEvent]
) -> None:
    client = await filled(launch, happened, [])

    answer = (await client.get("/v1/kpis")).json()

    assert answer == counted([])
    assert (answer["customers"], answer["revenue"], answer["repeat_rate"], answer["nps"]) == (0, {}, None, None)


async def test_revenue_is_exact_to_the_last_digit(
    launch: Callable[..., Awaitable[Any]], happened: Callable[..., PublicEvent]
) -> None:
    amounts = ["999999999999999999.999999", "0.000001", "0.1", "0.2"]
    history = [Happening(UUID(int=1), START, "purchase", Decimal(one), "USD") for one in amounts]
    client = await filled(launch, happened, history)

    answer = (await client.get("/v1/kpis")).json()
    shown = (await client.get(f"/v1/customers/{UUID(int=1)}")).json()

    assert answer["revenue"] == shown["purchases"]["revenue"] == {"USD": "1000000000000000000.300000"}


@pytest.mark.parametrize("field", ["customers", "active_customers", "revenue_per_customer", "repeat_rate", "nps"])
async def test_the_interface_says_how_each_figure_is_defined(launch: Callable[..., Awaitable[Any]], field: str) -> None:
    client = (await launch(DEFINITION, roles=("api",))).client

    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]

    assert len(schemas["KpisOut"]["properties"][field]["description"]) > 40
    assert "Reichheld" in schemas["NpsOut"]["properties"]["score"]["description"]
