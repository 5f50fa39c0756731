"""The views of feedback: one document per survey as it stands, and one per response with its answers."""

from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from crm_contracts.envelope import PublicEvent
from crm_contracts.events import feedback as public
from crm_contracts.registry import event_type_of, events_topic
from crm_shared.mongo import Document
from crm_shared.projections import DocumentProjection

SURVEYS = "surveys"
"""The collection with one document per survey."""
RESPONSES = "responses"
"""The collection with one document per response."""
SURVEYS_VIEW = "feedback-service.surveys"
RESPONSES_VIEW = "feedback-service.responses"
"""The permanent names of the projections that fill them."""

_SURVEY_FIELDS = ("survey_id", "key", "title", "version", "questions")
_RESPONSE_FIELDS = ("survey_id", "survey_key", "survey_version", "customer_id", "answers")


def surveys(database: AsyncDatabase[Document]) -> DocumentProjection:
    """The projection that keeps the collection `surveys`."""
    return DocumentProjection(
        database,
        name=SURVEYS_VIEW,
        topics=[events_topic("feedback")],
        handles=frozenset({event_type_of(public.SurveyPublished).ce_type}),
        collection=SURVEYS,
        fold=fold_survey,
        indexes={SURVEYS: [IndexModel("key", unique=True)]},
    )


def responses(database: AsyncDatabase[Document]) -> DocumentProjection:
    """The projection that keeps the collection `responses`."""
    return DocumentProjection(
        database,
        name=RESPONSES_VIEW,
        topics=[events_topic("feedback")],
        handles=frozenset({event_type_of(public.SurveyAnswered).ce_type}),
        collection=RESPONSES,
        fold=fold_response,
        document_id=lambda event: str(event.data["response_id"]),
        indexes={RESPONSES: [IndexModel("survey_id")]},
    )


def fold_survey(document: Document | None, event: PublicEvent) -> Document:
    """The survey after the event."""
    match event.name:
        case "SurveyPublished":
            return {
                **(document or {"published_at": event.occurred_at}),
                **_taken(event, _SURVEY_FIELDS),
                "updated_at": event.occurred_at,
            }
        case _:
            return document or {}


def fold_response(document: Document | None, event: PublicEvent) -> Document:
    """The response after the event."""
    match event.name:
        case "SurveyAnswered":
            return {
                **_taken(event, _RESPONSE_FIELDS),
                "channel": event.data.get("channel"),
                "answered_at": event.occurred_at,
            }
        case _:
            return document or {}


def _taken(event: PublicEvent, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: event.data[name] for name in names}
