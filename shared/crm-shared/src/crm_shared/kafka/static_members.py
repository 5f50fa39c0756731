"""Static members of a consumer group (KIP-345): a process that is started again has its partitions back at once.

The broker knows such a member by an id that the member chooses, keeps its partitions for the session timeout while it
is away, and gives them to whoever comes with that id. What aiokafka leaves to its user is here.
"""

from collections.abc import Iterable
from typing import Any
from zlib import crc32

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError


class NotKnownAnyMore(KafkaError):  # type: ignore[misc]  # aiokafka is untyped
    """The broker no longer knows a static member: it was silent for too long, or another came with its id."""


class IdInUse(Exception):
    """Another process is the member of the group that this one wants to be."""


def instance_id(configured: str, topics: Iterable[str]) -> str:
    """The id of a member that reads these topics.

    Kafka gives a known member its former partitions without looking at what it reads now (KAFKA-12759): a new version
    that reads one more topic would never get it. With other topics it is therefore another member.
    """
    return f"{configured}.{crc32(' '.join(sorted(topics)).encode()):08x}"


def end_with_the_session(coordinator: GroupCoordinator) -> None:
    """Let a member that the broker does not know any more fail with `NotKnownAnyMore`.

    aiokafka would join again with the same id. Two processes with one id would take the partitions from each other
    with every heartbeat, for ever, and nobody would be told.
    """
    reset = coordinator.reset_generation

    def reset_or_fail() -> None:
        if coordinator._closing.done():
            reset()
        else:
            raise NotKnownAnyMore(f"the broker does not know {coordinator.member_id} any more")

    coordinator.reset_generation = reset_or_fail


async def refuse_if_in_use(admin: AIOKafkaAdminClient, group: str, instance: str, own: str) -> None:
    """Raise `IdInUse` while a member with this id, other than `own`, is in the group."""
    for answer in await admin.describe_consumer_groups([group]):
        for described in answer.groups:
            for member, _, host, *_ in _members(described):
                # Kafka makes a static member's id from its instance id and a UUID.
                if member.startswith(f"{instance}-") and member != own:
                    raise IdInUse(
                        f"another process, at {host.lstrip('/')}, is a member of {group} with this one's "
                        f"KAFKA_GROUP_INSTANCE_ID; each process needs its own"
                    )


def _members(described: Any) -> Any:
    _, _, _, _, _, members, *_ = described
    return members
