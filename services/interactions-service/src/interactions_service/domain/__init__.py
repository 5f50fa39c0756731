"""What was bought and said: purchases and interactions, and their rules."""

from interactions_service.domain.interaction import Interaction, InteractionFacts, Scalar
from interactions_service.domain.purchase import Line, Money, Purchase, PurchaseFacts

__all__ = ["Interaction", "InteractionFacts", "Line", "Money", "Purchase", "PurchaseFacts", "Scalar"]
