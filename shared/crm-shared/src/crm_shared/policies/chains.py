"""How long a chain of policies is: how many of them stand between an event and the person who began it.

The actor of an event says it: a service's policy that answers a person acts in the service's name, `segmentation`; one
that answers a policy as `engagement#2`, and so on. No caller can be called so: `#` is refused in a header.
"""

import re

from crm_contracts.envelope import PublicEvent

LONGEST = 8
_LATER_LINK = re.compile(r"[a-z0-9]+#([0-9]{1,4})")


class ChainTooLong(Exception):
    """Policies keep answering each other: a loop, which ends here, with its customer parked."""


def links_to(event: PublicEvent) -> int:
    """How many policies led to the event; 0 for what people and other systems did."""
    if event.actor == event.service:
        return 1
    later = _LATER_LINK.fullmatch(event.actor)
    return int(later[1]) if later else 0


def actor_of_next_link(service: str, event: PublicEvent) -> str:
    """Who the service's policy is when it answers the event. Raises `ChainTooLong`."""
    links = links_to(event) + 1
    if links > LONGEST:
        raise ChainTooLong(f"{event.actor} is the {LONGEST}th policy in this chain ({event.correlation_id}): a loop")
    return service if links == 1 else f"{service}#{links}"
