"""For tests: rules without any server, public events as a projection gets them, services within a test's process."""

from crm_shared.testing.events import public_event, recorded
from crm_shared.testing.rules import Given, Stored, Then, given, stored

__all__ = ["Given", "Stored", "Then", "given", "public_event", "recorded", "stored"]
