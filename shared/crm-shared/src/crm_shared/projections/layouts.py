"""Rolling out a new layout of a view: one process folds it again from history, before anything is added to it."""

import asyncio
import logging
from collections.abc import Callable

from pymongo.asynchronous.database import AsyncDatabase

from crm_shared.kafka.connection import Kafka
from crm_shared.mongo.documents import Document, PartitionOf
from crm_shared.mongo.leases import Lease
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.generations import Generations
from crm_shared.projections.progress import Progress
from crm_shared.projections.projection import Projection
from crm_shared.projections.rebuild import Rebuild

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class OutdatedLayout(Exception):
    """This process is older than the view: another version of the service has rolled out a later layout of it."""


async def bring_to_layout(
    declared: Projection, database: AsyncDatabase[Document], kafka: Kafka, say: Callable[[str], None]
) -> None:
    """See to it that the live generation has the layout that is declared.

    A view of an older layout is rebuilt beside the live one and switched to, by one of the processes that want it; the
    others wait. `say` is told what goes on. Raises `OutdatedLayout` when the view has a later layout, and what a
    `Rebuild` raises.
    """
    generations = Generations(database)
    while (layout := await _layout_of(declared, database, generations)) != declared.layout:
        if layout > declared.layout:
            message = (
                f"{declared.name} has layout {layout}, and this process knows layout {declared.layout}: replace it"
            )
            raise OutdatedLayout(message)
        lease = Lease(database, f"layout of {declared.name}")
        if not await lease.take():
            say(f"another process folds the view again for layout {declared.layout}")
            await asyncio.sleep(LOOK_SECONDS)
            continue
        async with lease:
            if await _layout_of(declared, database, generations) == layout:
                say(f"the view is folded again, for layout {declared.layout}")
                await _fold_again(declared, database, kafka, lease)


async def _fold_again(declared: Projection, database: AsyncDatabase[Document], kafka: Kafka, lease: Lease) -> None:
    partition_of: PartitionOf = kafka.partition_of
    projection = DocumentProjection(database, declared, partition_of=partition_of)
    # Others wait for this process meanwhile: it answers queries, and feeds other views.
    rebuild = Rebuild(projection, database, kafka, folds_here=False)
    rebuilt = await rebuild.fill()
    # Whoever was away for so long that others took the work up must not undo what they did.
    await lease.require()
    await rebuild.switch(rebuilt)
    log.warning("%s has layout %d, in generation %d", declared.name, declared.layout, rebuilt.generation)


async def _layout_of(declared: Projection, database: AsyncDatabase[Document], generations: Generations) -> int:
    """The layout of the live view; one that does not exist yet begins with the one that is declared."""
    layout = await generations.layout(declared.name)
    if layout is not None:
        return layout
    if await Progress(database, declared.name, generations).load():
        # From before layouts were noted.
        return 1
    await generations.note_layout(declared.name, declared.layout)
    return declared.layout
