"""The HTTP interface of customer360."""

from customer360_service.api.routes import router

__all__ = ["router"]
