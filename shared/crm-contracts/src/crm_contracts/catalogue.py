"""The catalogue: every public event of every service, found by itself.

A module in `crm_contracts.events` is named after its service, registers its payload models and shows one example of
each in `EXAMPLES`. Nothing else has to name it.
"""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from crm_contracts import events
from crm_contracts.registry import EventData, PublicEventType, event_type_of, registered


@cache
def _modules() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(events.__path__))
    return {name: import_module(f"{events.__name__}.{name}") for name in names}


def services() -> tuple[str, ...]:
    """The services that publish events, sorted."""
    return tuple(_modules())


def all_event_types() -> list[PublicEventType]:
    """Every public event type, sorted by its CloudEvents type."""
    _modules()
    return sorted(registered(), key=lambda event_type: event_type.ce_type)


def event_type_named(ce_type: str) -> PublicEventType | None:
    """The event type with this CloudEvents type, or None when this version of the contract knows none."""
    return _by_ce_type().get(ce_type)


@cache
def _by_ce_type() -> dict[str, PublicEventType]:
    return {event_type.ce_type: event_type for event_type in all_event_types()}


def examples() -> tuple[EventData, ...]:
    """One valid example of every public event, as the documentation shows it."""
    return tuple(example for module in _modules().values() for example in module.EXAMPLES)


def example_of(event_type: PublicEventType) -> EventData:
    """The example of one event type; raises `LookupError` when its module shows none."""
    example = next((example for example in examples() if event_type_of(type(example)) is event_type), None)
    if example is None:
        raise LookupError(f"{event_type.ce_type} has no example in crm_contracts.events.{event_type.service}")
    return example
