"""The segment language: conditions over a customer's facts, what they mean, and which of them a change can touch."""

from segmentation_service.conditions.fields import FieldDescription, catalogue
from segmentation_service.conditions.index import SegmentIndex
from segmentation_service.conditions.parsing import ConditionError, parse
from segmentation_service.conditions.tree import (
    Condition,
    Explanation,
    deciding_leaves,
    evaluate,
    explain,
    to_json,
)

__all__ = [
    "Condition",
    "ConditionError",
    "Explanation",
    "FieldDescription",
    "SegmentIndex",
    "catalogue",
    "deciding_leaves",
    "evaluate",
    "explain",
    "parse",
    "to_json",
]
