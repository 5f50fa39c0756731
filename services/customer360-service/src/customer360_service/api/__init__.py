"""The HTTP interface of customer360: one file per resource."""

from customer360_service.api import customers, kpis, timeline

ROUTERS = [customers.router, timeline.router, kpis.router]

__all__ = ["ROUTERS"]
