"""MongoDB: documents guarded by their revision."""

from crm_shared.mongo.documents import DURABLE, Document, Documents, Lookup, WriteConflict

__all__ = ["DURABLE", "Document", "Documents", "Lookup", "WriteConflict"]
