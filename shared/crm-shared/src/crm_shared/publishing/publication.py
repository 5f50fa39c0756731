"""What a service says in public: the publication of one stored event, and how its state topic is rendered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from crm_contracts.registry import EventData
from crm_shared.domain.aggregate import Aggregate


class Publication(NamedTuple):
    """What a stored event says in public: the record key (a customer id, or a definition's own) and the payload."""

    key: str
    data: EventData


@dataclass(frozen=True, slots=True)
class StatePublishing:
    """How a service's compacted state topic is rendered: from which aggregate, and what it says."""

    aggregate: type[Aggregate]
    render: Callable[[Any], Publication]
