"""The whole way of a fact over HTTP: a survey and its answers go in, the results come out of the views."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from feedback_service.main import DEFINITION
from relata_local.servers import EmbeddedServers

CUSTOMER = "3f0d4a52-6a0e-4b0f-9a51-0c6f4f1d2b7e"
SURVEY: dict[str, Any] = {
    "title": "Sau khi mua hàng",
    "questions": [
        {"key": "recommend", "kind": "nps", "prompt": "Giới thiệu?", "required": True},
        {"key": "satisfied", "kind": "csat", "prompt": "Hài lòng?"},
        {"key": "where", "kind": "choice", "prompt": "Ở đâu?", "choices": ["Hà Nội", "Huế"]},
        {"key": "why", "kind": "text", "prompt": "Vì sao?"},
    ],
}


@pytest_asyncio.fixture
async def api(launch: Callable[..., Awaitable[Any]]) -> httpx.AsyncClient:
    """The interface of a service without relay and projections: for what needs the event store alone."""
    client: httpx.AsyncClient = (await launch(DEFINITION, roles=("api",))).client
    return client


@pytest_asyncio.fixture
async def survey(api: httpx.AsyncClient) -> str:
    """The path of a published survey."""
    path = "/v1/surveys/after-purchase"
    assert (await api.put(path, json=SURVEY)).status_code == 201
    return path


def problem(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, body["code"], [(one["field"], one["code"]) for one in body.get("errors", [])]


async def test_results_are_what_was_answered(
    broker: EmbeddedServers, launch: Callable[..., Awaitable[Any]], caught_up: Callable[..., Awaitable[None]]
) -> None:
    launched = await launch(DEFINITION)
    client = launched.client
    published = (await client.put("/v1/surveys/after-purchase", json=SURVEY)).json()
    answered: dict[str, Any] = {}
    for number, (recommend, satisfied) in enumerate([(10, 5), (9, 3), (7, 4), (0, 1), (9, 4), (3, 2)]):
        answers = {"recommend": recommend, "satisfied": satisfied, "where": "Huế" if number else "Hà Nội"}
        body = {"customer_id": str(uuid4()), "answers": answers}
        answered = (await client.post("/v1/surveys/after-purchase/answers", json=body)).json()
    await caught_up(launched, answered["position"], of="feedback")

    after = {"after": f"feedback:{answered['position']}"}
    results = (await client.get("/v1/surveys/after-purchase/results", params=after)).json()

    recommend, satisfied, where, why = results["questions"]
    assert (results["survey"], results["survey_id"]) == ("after-purchase", published["survey_id"])
    assert results["count"] == 6
    assert recommend["nps"] == {"score": 16.7, "promoters": 3, "passives": 1, "detractors": 2}
    assert satisfied["csat"] == {"score": 50.0, "satisfied": 3, "count": 6}
    assert satisfied["mean"] == 3.17
    assert where["distribution"] == {"Hà Nội": 1, "Huế": 5}
    assert (why["count"], why["distribution"]) == (0, {})


@pytest.mark.slow
async def test_views_follow_a_new_version_and_the_history_that_a_wiped_broker_gets_again(
    broker: EmbeddedServers,
    launch: Callable[..., Awaitable[Any]],
    caught_up: Callable[..., Awaitable[None]],
    eventually: Callable[..., Awaitable[Any]],
) -> None:
    # Given a survey that was answered in version 1
    launched = await launch(DEFINITION)
    client = launched.client
    path = "/v1/surveys/after-purchase"
    await client.put(path, json=SURVEY)
    answers = {"recommend": 9, "where": "Huế"}
    await client.post(f"{path}/answers", json={"customer_id": CUSTOMER, "answers": answers})

    # When it is published without one of the questions and with another kind of the other
    changed = {"title": "Tên mới", "questions": [{**SURVEY["questions"][0], "kind": "rating"}]}
    published = (await client.put(path, json=changed)).json()
    answered = await client.post(f"{path}/answers", json={"customer_id": CUSTOMER, "answers": {"recommend": 4}})
    await caught_up(launched, answered.json()["position"], of="feedback")

    # Then the survey is shown as it stands, and only answers to its questions count
    shown = (await client.get(path, params={"after": f"feedback:{published['position']}"})).json()
    results = (await client.get(f"{path}/results", params={"after": f"feedback:{published['position']}"})).json()
    assert (shown["version"], shown["title"], published["version"]) == (2, "Tên mới", 2)
    assert results["count"] == 2
    assert [(one["key"], one["kind"], one["count"], one["mean"]) for one in results["questions"]] == [
        ("recommend", "rating", 1, 4.0)
    ]

    # And a broker that has lost everything gets the history again, which changes nothing
    broker.broker.restart()
    last = (await client.post(f"{path}/answers", json={"customer_id": CUSTOMER, "answers": {"recommend": 5}})).json()

    async def arrived() -> Any:
        found = await client.get(f"{path}/results", params={"after": f"feedback:{last['position']}"})
        return found.json() if found.status_code == 200 else None

    again = await eventually(arrived)
    assert again["count"] == 3
    assert again["questions"][0]["mean"] == 4.5
    assert (await client.get("/v1/operations/parked")).json() == {"items": []}


async def test_surveys_are_listed_by_key_page_by_page(
    broker: EmbeddedServers, launch: Callable[..., Awaitable[Any]], caught_up: Callable[..., Awaitable[None]]
) -> None:
    launched = await launch(DEFINITION)
    for key in ("c", "a", "d", "b", "e"):
        published = await launched.client.put(f"/v1/surveys/{key}", json=SURVEY)
    await caught_up(launched, published.json()["position"], of="feedback")

    pages = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await launched.client.get("/v1/surveys", params={"limit": 2, **cursor})).json()
        pages.append([one["key"] for one in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert pages == [["a", "b"], ["c", "d"], ["e"]]


async def test_publishing_says_created_unchanged_and_changed(api: httpx.AsyncClient) -> None:
    created = await api.put("/v1/surveys/s", json=SURVEY)
    unchanged = await api.put("/v1/surveys/s", json=SURVEY)
    changed = await api.put("/v1/surveys/s", json={**SURVEY, "title": "Khác"})

    assert [one.status_code for one in (created, unchanged, changed)] == [201, 200, 200]
    assert [one.json()["version"] for one in (created, unchanged, changed)] == [1, 1, 2]
    assert unchanged.json() == {**created.json(), "created": False}
    assert changed.json()["position"] > created.json()["position"]


async def test_a_response_with_its_sender_s_id_is_recorded_once(api: httpx.AsyncClient, survey: str) -> None:
    body = {
        "customer_id": CUSTOMER,
        "answers": {"recommend": 9},
        "answered_at": "2026-01-02T10:00:00+07:00",
        "response_id": "form/17",
    }

    first = await api.post(f"{survey}/answers", json=body)
    again = await api.post(f"{survey}/answers", json={**body, "answered_at": "2026-01-02T03:00:00Z"})
    other = await api.post(f"{survey}/answers", json={**body, "answers": {"recommend": 8}})

    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["created"], again.json()) == (True, {**first.json(), "created": False})
    assert problem(other)[:2] == (409, "response_conflict")
    assert other.json()["response_id"] == first.json()["response_id"]


async def test_a_retry_with_the_same_key_gets_the_first_answer(api: httpx.AsyncClient, survey: str) -> None:
    headers = {"Idempotency-Key": "form-17"}
    body = {"customer_id": CUSTOMER, "answers": {"recommend": 9}}

    first = await api.post(f"{survey}/answers", json=body, headers=headers)
    again = await api.post(f"{survey}/answers", json=body, headers=headers)
    other = await api.post(f"{survey}/answers", json={**body, "channel": "web"}, headers=headers)

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert problem(other)[:2] == (422, "idempotency_key_reused")


async def test_a_retry_of_a_publication_that_changed_nothing_gets_the_first_answer(
    api: httpx.AsyncClient, survey: str
) -> None:
    plain = await api.put(survey, json=SURVEY)

    keyed = [await api.put(survey, json=SURVEY, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [one.json() for one in keyed] == [plain.json()] * 2


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"answers": {"recommend": True}}, "/answers/recommend", "not_an_integer"),
        ({"answers": {"recommend": 9.0}}, "/answers/recommend", "not_an_integer"),
        ({"answers": {"recommend": None}}, "/answers/recommend", "not_an_integer"),
        ({"answers": {"recommend": 10**30}}, "/answers/recommend", "not_an_integer"),
        ({"answers": {"recommend": 11}}, "/answers/recommend", "out_of_scale"),
        ({"answers": {"recommend": 1, "where": "Đà Nẵng"}}, "/answers/where", "not_a_choice"),
        ({"answers": {"recommend": 1, "why": "x" * 2001}}, "/answers/why", "text_length"),
        ({"answers": {"recommend": 1, "a/b": 1}}, "/answers/a~1b", "unknown_question"),
        ({"answers": {}}, "/answers/recommend", "required_answer_missing"),
        ({"answers": [9]}, "/answers", "dict_type"),
        ({"answers": {f"q{number}": 1 for number in range(51)}}, "/answers", "too_long"),
        ({"customer_id": "somebody"}, "/customer_id", "uuid_parsing"),
        ({"customer_id": None}, "/customer_id", "customer_id_missing"),
        ({"answered_at": "2026-01-02T10:00:00"}, "/answered_at", "timezone_aware"),
        ({"answered_at": "2999-01-02T10:00:00Z"}, "/answered_at", "in_the_future"),
        ({"answered_at": 1767322800}, "/answered_at", "time_text"),
        ({"channel": "E-Mail!"}, "/channel", "string_pattern_mismatch"),
        ({"response_id": "form 17"}, "/response_id", "string_pattern_mismatch"),
        ({"response_id": "x" * 201}, "/response_id", "string_pattern_mismatch"),
        ({"rating": 5}, "/rating", "extra_forbidden"),
    ],
)
async def test_an_answer_that_breaks_a_rule_is_refused_with_the_place(
    api: httpx.AsyncClient, survey: str, changes: dict[str, Any], field: str, code: str
) -> None:
    body = {"customer_id": CUSTOMER, "answers": {"recommend": 9}, **changes}

    refused = await api.post(f"{survey}/answers", json=body)

    assert problem(refused) == (422, "validation_failed", [(field, code)])


@pytest.mark.parametrize(
    ("question", "field", "code"),
    [
        ({"kind": "stars"}, "/questions/0/kind", "literal_error"),
        ({"key": "Q"}, "/questions/0/key", "string_pattern_mismatch"),
        ({"key": "q" * 65}, "/questions/0/key", "string_pattern_mismatch"),
        ({"prompt": ""}, "/questions/0/prompt", "string_too_short"),
        ({"prompt": "a\x00b"}, "/questions/0/prompt", "control_character"),
        ({"required": "yes"}, "/questions/0/required", "bool_type"),
        ({"choices": ["a", "b"]}, "/questions/0/choices", "choices_not_allowed"),
        ({"kind": "choice"}, "/questions/0/choices", "choices_count"),
        ({"kind": "choice", "choices": ["Huế", "Hue\u0302\u0301"]}, "/questions/0/choices", "duplicate_choice"),
        ({"kind": "choice", "choices": [str(n) for n in range(51)]}, "/questions/0/choices", "too_long"),
    ],
)
async def test_a_question_that_breaks_a_rule_is_refused_with_the_place(
    api: httpx.AsyncClient, question: dict[str, Any], field: str, code: str
) -> None:
    body = {"title": "T", "questions": [{"key": "q", "kind": "nps", "prompt": "?", **question}]}

    refused = await api.put("/v1/surveys/s", json=body)

    assert problem(refused) == (422, "validation_failed", [(field, code)])


@pytest.mark.parametrize("count", [0, 51])
async def test_a_survey_has_one_to_fifty_questions(api: httpx.AsyncClient, count: int) -> None:
    questions = [{"key": f"q{number}", "kind": "nps", "prompt": "?"} for number in range(count)]

    refused = await api.put("/v1/surveys/s", json={"title": "T", "questions": questions})

    assert problem(refused)[:2] == (422, "validation_failed")


@pytest.mark.parametrize("key", ["Upper", "1st", "a" * 65, "a.b", "a%0A"])
async def test_a_survey_s_key_is_lower_case_and_short(api: httpx.AsyncClient, key: str) -> None:
    refused = await api.put(f"/v1/surveys/{key}", json=SURVEY)

    assert problem(refused) == (422, "validation_failed", [("path:key", "string_pattern_mismatch")])


async def test_an_unknown_survey_is_not_found(api: httpx.AsyncClient) -> None:
    body = {"customer_id": CUSTOMER, "answers": {"recommend": 9}}

    answered = await api.post("/v1/surveys/unknown/answers", json=body)
    read = await api.get("/v1/surveys/unknown")
    results = await api.get("/v1/surveys/unknown/results")

    assert [problem(one)[:2] for one in (answered, read, results)] == [(404, "not_found")] * 3


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_json"),
        (b"", "application/json", 400, "malformed_json"),
        (b'{"customer_id": NaN}', "application/json", 400, "malformed_json"),
        (b'{"customer_id": 1e999}', "application/json", 400, "malformed_json"),
        (b'{"customer_id": "\xff"}', "application/json", 400, "invalid_utf8"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b'{"a": "' + b"x" * 50_000 + b'"}', "application/json", 413, "payload_too_large"),
    ],
)
async def test_a_body_that_is_no_proper_json_is_refused(
    api: httpx.AsyncClient, survey: str, content: bytes, content_type: str, status: int, code: str
) -> None:
    refused = await api.post(f"{survey}/answers", content=content, headers={"Content-Type": content_type})

    assert problem(refused)[:2] == (status, code)


@pytest.mark.slow
async def test_a_position_that_the_view_has_not_reached_is_answered_with_try_again(
    api: httpx.AsyncClient, survey: str
) -> None:
    # Nobody projects here, so no position is ever reached.
    refused = await api.get(f"{survey}/results", params={"after": "feedback:1"})

    assert problem(refused)[:2] == (503, "position_not_reached")
    assert refused.headers["retry-after"] == "1"
