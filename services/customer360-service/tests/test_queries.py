"""What the HTTP interface shows of views that events have filled: the 360, lists, searches, timelines, refusals."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from pydantic import BaseModel

from crm_contracts.envelope import PublicEvent
from crm_contracts.events import contacts, feedback, interactions, segmentation
from crm_contracts.registry import EventData
from crm_contracts.types import Money
from crm_shared.http.queries import Page
from crm_shared.projections import DocumentProjection
from customer360_service.api.customers import CustomerOut, CustomerSummaryOut
from customer360_service.api.kpis import KpisOut
from customer360_service.api.timeline import TimelineEntryOut
from customer360_service.main import DEFINITION
from customer360_service.projections import CUSTOMERS

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KHAI, DUC, BRIEN, GUEST = (UUID(int=number) for number in (1, 2, 3, 9))
SOME_UUID = "c2d7e5f1-3b48-5a6c-9e0f-7a8b9c0d1e2f"

Filled = Callable[..., Awaitable[httpx.AsyncClient]]


def identified(who: UUID, name: str | None, *identifiers: tuple[str, str, str | None]) -> EventData:
    return contacts.CustomerIdentified(
        customer_id=str(who),
        source="pos",
        identifiers=[contacts.Identifier(type=kind, value=value, system=system) for kind, value, system in identifiers],
        profile=contacts.Profile(name=name),
        tags=["khách quen"],
        attributes={"hạng": "vàng", "$a.b": 1},
    )


def bought(who: UUID, amount: str, currency: str = "USD") -> EventData:
    return interactions.PurchaseRecorded(
        purchase_id=SOME_UUID,
        customer_id=str(who),
        system="cdnow",
        order_id="1",
        total=Money(amount=amount, currency=currency),
        lines=[interactions.PurchaseLine(sku="cd", quantity=2)],
    )


def answered(who: UUID, number: int) -> EventData:
    return feedback.SurveyAnswered(
        response_id=SOME_UUID,
        survey_id=SOME_UUID,
        survey_key="nps-1998",
        survey_version=1,
        customer_id=str(who),
        answers=[feedback.QuestionAnswer(question="recommend", kind="nps", number=number)],
    )


def called(who: UUID) -> EventData:
    return interactions.InteractionLogged(
        interaction_id=SOME_UUID, customer_id=str(who), channel="phone", direction="inbound"
    )


def entered(who: UUID) -> EventData:
    return segmentation.CustomerEnteredSegment(
        customer_id=str(who),
        segment_id=SOME_UUID,
        segment_key="big-spenders",
        segment_name="Big spenders",
        definition_version=1,
        because="facts_changed",
        values=[],
    )


@pytest_asyncio.fixture
async def filled(launch: Callable[..., Awaitable[Any]], happened: Callable[..., PublicEvent]) -> Filled:
    """`await filled(data, (data, at), ...)`: an interface whose views hold these events."""

    async def fill(*datas: EventData | tuple[EventData, datetime]) -> httpx.AsyncClient:
        launched = await launch(DEFINITION, roles=("api",))
        projection = DocumentProjection(launched.runtime.database, CUSTOMERS)
        await projection.prepare(1)
        pairs = (one if isinstance(one, tuple) else (one, NOON) for one in datas)
        assert not await projection.apply([happened(data, i, at) for i, (data, at) in enumerate(pairs, 1)])
        client: httpx.AsyncClient = launched.client
        return client

    return fill


@pytest_asyncio.fixture
async def three(filled: Filled) -> httpx.AsyncClient:
    """Three identified customers and one who is not."""
    return await filled(
        (identified(KHAI, "Nguyễn Thị Minh Khai", ("email", "minh.khai@example.com", None)), NOON - 3 * DAY),
        (identified(DUC, "Đặng Đức", ("phone", "+84901234567", None), ("external", "a:b/7", "erp")), NOON - 2 * DAY),
        (identified(BRIEN, "Jean-Pierre O'Brien", ("external", "KH-000187", "pos")), NOON - DAY),
        bought(GUEST, "5.00"),
    )


async def found(client: httpx.AsyncClient, **params: Any) -> list[int]:
    """The customers of a list, by the numbers in their ids."""
    response = await client.get("/v1/customers", params=params)
    assert response.status_code == 200, response.text
    return [UUID(one["customer_id"]).int for one in response.json()["items"]]


def refused(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, body["code"], [(one["field"], one["code"]) for one in body.get("errors", [])]


async def test_the_360_shows_every_source_side_by_side(filled: Filled) -> None:
    client = await filled(
        (identified(KHAI, "Khải", ("email", "khai@example.com", None)), NOON - 9 * DAY),
        (bought(KHAI, "10.00"), NOON - 8 * DAY),
        (bought(KHAI, "5.25"), NOON - 7 * DAY),
        (bought(KHAI, "10.00"), NOON - 20 * DAY),
        (called(KHAI), NOON - 2 * DAY),
        (entered(KHAI), NOON),
        (answered(KHAI, 9), NOON - DAY),
    )

    shown = (await client.get(f"/v1/customers/{KHAI}")).json()

    assert shown == {
        "customer_id": str(KHAI),
        "identified": True,
        "identifiers": [{"type": "email", "value": "khai@example.com", "system": None}],
        "profile": {"name": "Khải"},
        "tags": ["khách quen"],
        "attributes": {"hạng": "vàng", "$a.b": 1},
        "preferences": None,
        "interactions": {
            "count": 1,
            "last_at": "2026-01-12T12:00:00Z",
            "by_channel": {"phone": {"count": 1, "last_at": "2026-01-12T12:00:00Z"}},
        },
        "purchases": {
            "count": 3,
            "revenue": {"USD": "25.25"},
            "average": {"USD": "8.42"},
            "first_at": "2025-12-25T12:00:00Z",
            "last_at": "2026-01-07T12:00:00Z",
        },
        "segments": [{"key": "big-spenders", "name": "Big spenders", "since": "2026-01-14T12:00:00Z"}],
        "feedback": {
            "count": 1,
            "last_at": "2026-01-13T12:00:00Z",
            "latest": {
                "nps-1998": {
                    "response_id": SOME_UUID,
                    "answered_at": "2026-01-13T12:00:00Z",
                    "answers": {"recommend": 9},
                }
            },
            "nps": 9,
        },
        "first_seen_at": "2025-12-25T12:00:00Z",
        "last_activity_at": "2026-01-13T12:00:00Z",
        "positions": {"contacts": 1, "interactions": 5, "segmentation": 6, "feedback": 7},
    }


async def test_a_customer_whom_contacts_has_not_announced_is_shown_apart(three: httpx.AsyncClient) -> None:
    shown = (await three.get(f"/v1/customers/{GUEST}")).json()
    summaries = (await three.get("/v1/customers", params={"identified": "false"})).json()

    assert (shown["identified"], shown["profile"], shown["purchases"]["count"]) == (False, {}, 1)
    assert await found(three) == [1, 2, 3]
    assert summaries == {
        "items": [
            {
                "customer_id": str(GUEST),
                "identified": False,
                "name": None,
                "identifiers": [],
                "purchases": {"count": 1, "revenue": {"USD": "5.00"}},
                "last_activity_at": "2026-01-14T12:00:00Z",
            }
        ],
        "next_cursor": None,
    }


async def test_a_search_finds_beginnings_of_words_without_case_and_diacritics(three: httpx.AsyncClient) -> None:
    expected = {
        "nguyen": [1],
        "NGUYỄN kh": [1],
        "khai nguyen": [1],
        "đặng": [2],
        "duc dang": [2],
        "d": [2],
        "brien": [3],
        "o'br": [3],
        "jean-pierre": [3],
        "Minh.Khai@Example.com": [1],
        "minh.khai@": [1],
        "+84 90 123": [2],
        "0901234567": [2],
        "0901 234": [2],
        "0901": [2],
        "kh-000187": [3],
        "a:b/7": [2],
        # A phone by its last digits, a name with an apostrophe or a hyphen as one word.
        "234567": [2],
        "901 234 567": [2],
        "4567": [2],
        "567": [],
        "obrien": [3],
        "O’Brien": [3],
        "jeanpierre": [3],
        "guyen": [],
        "nguyen duc": [],
        "zzz": [],
        # Nothing in a search has a meaning of its own.
        "^nguyen$": [1],
        "ng.*en": [],
        "(nguyen|dang)": [],
        "[n]guyen": [],
        "$where": [],
    }

    assert {text: await found(three, q=text) for text in expected} == expected


async def test_a_search_finds_a_part_of_a_name_that_is_written_without_spaces(filled: Filled) -> None:
    names = ("王小明", "สมชาย ใจดี", "東京国際貿易商事株式会社大阪支店", "김민수")
    client = await filled(*(identified(UUID(int=number), name) for number, name in enumerate(names)))

    expected = {
        "小明": [0],
        "小": [0],
        "王明": [],
        "ชาย": [1],
        "大阪支店": [2],
        "国際貿易商事株式会社": [2],
        "민수": [3],
    }

    assert {text: await found(client, q=text) for text in expected} == expected


async def test_a_plus_that_became_a_blank_is_told_with_the_way_out(three: httpx.AsyncClient) -> None:
    response = await three.get("/v1/kpis?from=2026-01-14T09:30:00+07:00")

    [error] = response.json()["errors"]
    assert (response.status_code, error["field"], error["code"]) == (422, "?from", "unescaped_plus")
    assert "2026-01-14T09:30:00%2B07:00" in error["message"]


async def test_an_identifier_finds_exactly_its_customer(three: httpx.AsyncClient) -> None:
    expected = {
        "email:minh.khai@example.com": [1],
        "email:MINH.Khai@example.com": [1],
        "email:minh.khai@example.co": [],
        "phone:+84901234567": [2],
        "phone: 84 901 234 567": [2],
        "phone:+901234567": [],
        "external:erp:a:b/7": [2],
        "external:pos:KH-000187": [3],
        "external:pos:kh-000187": [],
        "external:erp:KH-000187": [],
    }

    assert {identifier: await found(three, identifier=identifier) for identifier in expected} == expected
    assert await found(three, identifier="phone:0901 234 567", region="VN") == [2]
    assert await found(three, identifier="phone:+84901234567", q="duc") == [2]
    assert await found(three, identifier="phone:+84901234567", q="nguyen") == []
    assert await found(three, identifier="phone:+84901234567", identified=False) == []


@pytest.mark.parametrize("identified_only", [True, False])
async def test_pages_hold_everybody_once(filled: Filled, identified_only: bool) -> None:
    people = [UUID(int=number) for number in range(1, 24)]
    # Several became known at the same moment.
    datas = [
        (identified(one, "Lan") if identified_only else bought(one, "1"), NOON + (one.int // 5) * DAY) for one in people
    ]
    client = await filled(*reversed(datas))

    seen: list[str] = []
    params: dict[str, Any] = {"limit": 5, "identified": identified_only}
    while True:
        page = (await client.get("/v1/customers", params=params)).json()
        seen += [one["customer_id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]

    assert seen == [str(one) for one in people]


async def test_a_timeline_is_newest_first_and_its_pages_hold_every_event_once(filled: Filled) -> None:
    # Given events of several sources, some at the same moment, some recorded after later ones
    datas = [identified(KHAI, "Khải"), bought(KHAI, "1.50"), called(KHAI), answered(KHAI, 9), entered(KHAI)] * 5
    times = [NOON - (i * 7 % 11) * DAY for i in range(len(datas))]
    client = await filled(*zip(datas, times, strict=True), bought(GUEST, "1"))

    # When all pages are read
    seen: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 4}
    while True:
        page = (await client.get(f"/v1/customers/{KHAI}/timeline", params=params)).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]

    # Then each event is there once, in order
    order = [(one["occurred_at"], one["position"]) for one in seen]
    assert len(seen) == len({one["event_id"] for one in seen}) == len(datas)
    assert order == sorted(order, reverse=True)
    bought_one = next(one for one in seen if one["type"] == "PurchaseRecorded")
    assert bought_one["summary"] == "Bought 2 × cd for 1.50 USD at cdnow"
    assert bought_one["source"] == "interactions"
    assert bought_one["data"]["total"] == {"amount": "1.50", "currency": "USD"}
    assert bought_one["recorded_at"] == "2026-01-14T12:00:00Z"


async def test_a_cursor_continues_the_list_that_gave_it_out_and_no_other(filled: Filled) -> None:
    people = [UUID(int=number) for number in range(1, 4)]
    client = await filled(*(fact for one in people for fact in (identified(one, "Lan"), bought(one, "1"))))
    of_search = (await client.get("/v1/customers", params={"q": "lan", "limit": 1})).json()["next_cursor"]
    of_khai = (await client.get(f"/v1/customers/{KHAI}/timeline", params={"limit": 1})).json()["next_cursor"]

    for path, params in (
        ("/v1/customers", {"cursor": of_search}),
        ("/v1/customers", {"cursor": of_search, "q": "lan", "identified": "false"}),
        ("/v1/customers", {"cursor": of_khai}),
        (f"/v1/customers/{DUC}/timeline", {"cursor": of_khai}),
    ):
        assert refused(await client.get(path, params=params)) == (
            422,
            "validation_failed",
            [("?cursor", "foreign_cursor")],
        ), (path, params)
    assert (await client.get("/v1/customers", params={"q": "lan", "cursor": of_search, "limit": 500})).is_success


async def test_answers_are_what_the_interface_describes(three: httpx.AsyncClient) -> None:
    described: list[tuple[str, type[BaseModel]]] = [
        ("/v1/customers", Page[CustomerSummaryOut]),
        (f"/v1/customers/{KHAI}", CustomerOut),
        (f"/v1/customers/{GUEST}", CustomerOut),
        (f"/v1/customers/{DUC}/timeline", Page[TimelineEntryOut]),
        ("/v1/kpis", KpisOut),
    ]

    for path, model in described:
        answer = (await three.get(path)).json()
        assert model.model_validate(answer).model_dump(mode="json", by_alias=True) == answer, path


async def test_who_is_not_known_is_not_found(three: httpx.AsyncClient) -> None:
    nobody = UUID(int=77)

    for path in (f"/v1/customers/{nobody}", f"/v1/customers/{nobody}/timeline"):
        assert refused(await three.get(path)) == (404, "not_found", [])


REFUSED: Sequence[tuple[str, dict[str, str], str, str]] = [
    ("/v1/customers/not-a-uuid", {}, "path:customer_id", "uuid_parsing"),
    ("/v1/customers/not-a-uuid/timeline", {}, "path:customer_id", "uuid_parsing"),
    ("/v1/customers", {"limit": "0"}, "?limit", "greater_than_equal"),
    ("/v1/customers", {"limit": "501"}, "?limit", "less_than_equal"),
    ("/v1/customers", {"limit": "9" * 5000}, "?limit", "int_parsing_size"),
    ("/v1/customers", {"cursor": "!"}, "?cursor", "malformed_cursor"),
    ("/v1/customers", {"cursor": "WyJhIl0"}, "?cursor", "malformed_cursor"),
    ("/v1/customers", {"cursor": "Wzk5OTk5OTk5OTk5OTk5OTk5LCJhIl0"}, "?cursor", "malformed_cursor"),
    ("/v1/customers", {"cursor": "WzEsImEiXQ", "identified": "false"}, "?cursor", "malformed_cursor"),
    ("/v1/customers", {"identified": "perhaps"}, "?identified", "bool_parsing"),
    ("/v1/customers", {"q": "x" * 201}, "?q", "string_too_long"),
    ("/v1/customers", {"q": ""}, "?q", "string_too_short"),
    ("/v1/customers", {"q": "((((("}, "?q", "nothing_to_search"),
    ("/v1/customers", {"q": "a b c d e f g h i"}, "?q", "too_many_words"),
    ("/v1/customers", {"q": "a\x00"}, "?q", "control_character"),
    ("/v1/customers", {"identifier": "minh.khai@example.com"}, "?identifier", "malformed_identifier"),
    ("/v1/customers", {"identifier": "email:"}, "?identifier", "malformed_identifier"),
    ("/v1/customers", {"identifier": "phone:none"}, "?identifier", "malformed_identifier"),
    ("/v1/customers", {"identifier": "external:pos"}, "?identifier", "malformed_identifier"),
    ("/v1/customers", {"identifier": "external::7"}, "?identifier", "malformed_identifier"),
    ("/v1/customers", {"identifier": "phone:0901234567"}, "?region", "region_missing"),
    ("/v1/customers", {"region": "VN"}, "?region", "region_without_phone"),
    ("/v1/customers", {"after": "contacts"}, "?after", "malformed_position"),
    ("/v1/customers/{khai}/timeline", {"cursor": "WzEsMSwxXQ"}, "?cursor", "malformed_cursor"),
    (
        "/v1/customers/{khai}/timeline",
        {"cursor": "WzEsMTgwMDAwMDAwMDAwMDAwMDAwMDAsIngiXQ"},
        "?cursor",
        "malformed_cursor",
    ),
    ("/v1/kpis", {"from": "1997-01-01"}, "?from", "time_text"),
    ("/v1/kpis", {"from": "852076800"}, "?from", "time_text"),
    ("/v1/kpis", {"from": "1997-01-01T00:00:00"}, "?from", "timezone_aware"),
    ("/v1/kpis", {"from": "1997-02-30T00:00:00Z"}, "?from", "datetime_from_date_parsing"),
    ("/v1/kpis", {"to": "9999-12-31T23:59:59-05:00"}, "?to", "time_range"),
    ("/v1/kpis", {"to": "0001-01-01T00:00:00+05:00"}, "?to", "time_range"),
    ("/v1/kpis", {"from": "1998-01-01T00:00:00Z", "to": "1997-01-01T00:00:00Z"}, "?to", "empty_period"),
    ("/v1/kpis", {"from": "1997-01-01T00:00:00 07:00"}, "?from", "unescaped_plus"),
    ("/v1/kpis", {"currency": "dollars"}, "?currency", "unknown_currency"),
    ("/v1/kpis", {"currency": "vnd"}, "?currency", "unknown_currency"),
]


async def test_what_cannot_be_asked_is_refused_with_its_place(three: httpx.AsyncClient) -> None:
    for path, params, field, code in REFUSED:
        response = await three.get(path.format(khai=KHAI), params=params)

        assert refused(response) == (422, "validation_failed", [(field, code)]), (path, params)


async def test_only_reading_is_allowed(three: httpx.AsyncClient) -> None:
    for method, path in (("POST", "/v1/customers"), ("DELETE", f"/v1/customers/{KHAI}"), ("PUT", "/v1/kpis")):
        assert refused(await three.request(method, path, json={})) == (405, "method_not_allowed", [])
