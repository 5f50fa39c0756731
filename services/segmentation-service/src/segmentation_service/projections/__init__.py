"""The views of segmentation: customers' facts, segments' definitions, and who is a member."""

from segmentation_service.projections.definitions import DEFINITIONS
from segmentation_service.projections.facts import FACTS
from segmentation_service.projections.members import MEMBERS

__all__ = ["DEFINITIONS", "FACTS", "MEMBERS"]
