"""What several resources of customer360 have in common."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

CustomerId = Annotated[UUID, Path(description="Customer id")]
PerCurrency = dict[str, str]
"""ISO 4217 code to an amount as text."""
