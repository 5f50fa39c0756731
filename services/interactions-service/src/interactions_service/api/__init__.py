"""The HTTP interface of interactions."""

from interactions_service.api.routes import router

__all__ = ["router"]
