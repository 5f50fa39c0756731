"""What public events make segmentation do: decide who enters and leaves which segment."""

from segmentation_service.policies.memberships import MEMBERSHIPS

__all__ = ["MEMBERSHIPS"]
