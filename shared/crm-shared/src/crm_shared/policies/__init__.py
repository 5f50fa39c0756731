"""What events make a service do: events and the changes of views to commands of its own, each with one effect."""

from crm_shared.policies.chains import ChainTooLong
from crm_shared.policies.decided_projection import DecidedProjection
from crm_shared.policies.policy import Decisions, Policy, Resources, ViewPolicy
from crm_shared.policies.policy_consumer import PolicyConsumer

__all__ = ["ChainTooLong", "DecidedProjection", "Decisions", "Policy", "PolicyConsumer", "Resources", "ViewPolicy"]
