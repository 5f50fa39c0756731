"""What people and systems ask of customer360: the 360, lists and searches, the timeline, key figures."""

from customer360_service.queries.customers import Wanted, customer, customers
from customer360_service.queries.figures import Period
from customer360_service.queries.kpis import kpis
from customer360_service.queries.timeline import timeline

__all__ = ["Period", "Wanted", "customer", "customers", "kpis", "timeline"]
