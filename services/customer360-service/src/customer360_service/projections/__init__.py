"""The views of customer360: one document per customer and one row per event of its timeline, by one consumer group."""

from pymongo import ASCENDING, DESCENDING, IndexModel

from crm_contracts.events.contacts import (
    CustomerDetailsChanged,
    CustomerIdentified,
    CustomerTagged,
    CustomerUntagged,
    IdentityLinked,
    PreferencesChanged,
)
from crm_contracts.events.feedback import SurveyAnswered
from crm_contracts.events.interactions import InteractionLogged, PurchaseRecorded
from crm_contracts.events.segmentation import CustomerEnteredSegment, CustomerLeftSegment
from crm_shared.projections import Lookup, Projection, Rows
from customer360_service.projections.customer import fold
from customer360_service.projections.lookup import found_by
from customer360_service.projections.timeline import row

CUSTOMERS = Projection(
    name="customer360-service.customers",
    # What happens to customers. Definitions of segments and surveys have ids of their own and concern nobody alone.
    events=[
        CustomerIdentified,
        CustomerDetailsChanged,
        IdentityLinked,
        CustomerTagged,
        CustomerUntagged,
        PreferencesChanged,
        InteractionLogged,
        PurchaseRecorded,
        CustomerEnteredSegment,
        CustomerLeftSegment,
        SurveyAnswered,
    ],
    collection="customers",
    fold=fold,
    rows=Rows("timeline", row),
    lookup=Lookup("customers_lookup", found_by),
    # Every index slows the projection down: there is one for each kind of query, and no more.
    indexes={
        "customers_lookup": [
            IndexModel("search"),
            IndexModel([("identified_at", ASCENDING), ("_id", ASCENDING)]),
        ],
        "timeline": [
            IndexModel([("customer_id", ASCENDING), ("occurred_at", DESCENDING), ("position", DESCENDING)]),
            IndexModel("occurred_at"),
        ],
    },
    # With the words of phones' last digits, of names with apostrophes and of scripts without spaces.
    layout=2,
)

__all__ = ["CUSTOMERS"]
