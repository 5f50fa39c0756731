"""The HTTP interface of feedback: one file per resource."""

from feedback_service.api import answers, surveys

ROUTERS = [surveys.router, answers.router]

__all__ = ["ROUTERS"]
