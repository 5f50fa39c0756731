"""From the log to Kafka: what a service says in public, and the relay that sends it."""

from crm_shared.publishing.publication import Publication, StatePublishing
from crm_shared.publishing.relay import Relay

__all__ = ["Publication", "Relay", "StatePublishing"]
