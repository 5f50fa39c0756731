"""Views for tests of rebuilding, in a module of their own: other processes import them from here."""

import os
import signal
import time
from pathlib import Path

from crm_contracts.envelope import PublicEvent
from crm_contracts.events.contacts import CustomerTagged
from crm_shared.projections import Document, Projection, unexpected

NOTES = "REBUILT_VIEWS_NOTES"
"""Names the variable with the folder that a fold which never ends notes its process in."""


def fold(document: Document | None, event: PublicEvent) -> Document:
    """The customer's tags; some of them are more than that."""
    match event.payload:
        case CustomerTagged(tag="not foldable"):
            raise ValueError("this one not")
        case CustomerTagged(tag="deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        case CustomerTagged(tag="endless"):
            Path(os.environ[NOTES], str(os.getpid())).touch()
            time.sleep(3600)
        case CustomerTagged(tag=tag):
            return {**(document or {}), "tags": [*(document or {}).get("tags", ()), tag]}
    unexpected(event)


TAGS = Projection(name="tests.tags", events=[CustomerTagged], collection="tags", fold=fold)
