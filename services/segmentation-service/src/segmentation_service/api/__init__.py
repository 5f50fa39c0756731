"""The HTTP interface of segmentation."""

from segmentation_service.api import fields, members, segments

ROUTERS = [segments.router, members.router, fields.router]

__all__ = ["ROUTERS"]
