"""Which public event types there are, as a running service tells; an unknown name is refused with the nearest."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from relata_local.api_client import Api
from relata_local.errors import LocalError
from relata_local.tail import WATERMARK, short_name

_SECONDS = 5.0
_NEAREST = 3


def known_types(services: Mapping[str, str]) -> set[str] | None:
    """The full names of all public event types, from the first service that tells; None when none does."""
    with Api(services, timeout=_SECONDS) as api:
        for service in services:
            try:
                return {str(schema["type"]) for schema in api.get(service, "/schemas", patient=False)["items"]}
            except LocalError:
                continue  # not there, not ready, or older than the list: another service may tell
    return None


def require_types(wanted: Sequence[str], known: Collection[str]) -> None:
    """Raise `LocalError` for a wanted type, short or full, that is not known; it names the nearest ones."""
    names = {short_name(full) for full in known} | {WATERMARK}
    for name in wanted:
        choices = set(known) if "." in name else names
        if name in choices:
            continue
        spelled = {choice.casefold(): choice for choice in choices}
        nearest = [spelled[match] for match in get_close_matches(name.casefold(), spelled, n=_NEAREST)]
        proposal = f"did you mean {' or '.join(nearest)}?" if nearest else f"there are {', '.join(sorted(names))}"
        raise LocalError(f"there is no event type {name}: {proposal}")
