"""From public events to documents: declared once, folded by pure functions, rebuilt at will."""

from crm_shared.mongo.documents import Document, Lookup
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.projection import Applier, Failure, Projection, Rows, advance, unexpected

__all__ = [
    "Applier",
    "Document",
    "DocumentProjection",
    "Failure",
    "Lookup",
    "Projection",
    "Rows",
    "advance",
    "unexpected",
]
