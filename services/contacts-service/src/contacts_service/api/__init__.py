"""The HTTP interface of contacts."""

from contacts_service.api.routes import router

__all__ = ["router"]
