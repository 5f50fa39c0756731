"""How the documents of a rebuilt view compare with the live ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from crm_shared.mongo.documents import Document

# The embedded store takes the longer for each document, the more of them it is asked for at once.
COMPARE_AT_ONCE = 25
EXAMPLES = 10


@dataclass
class Comparison:
    """The rebuilt documents beside the live ones.

    `ahead` are live documents that have applied more than the rebuilt ones, which happens while events flow;
    `missing` are rebuilt documents without a live one; `examples` are ids of some that are different or missing.
    """

    documents: int = 0
    equal: int = 0
    ahead: int = 0
    different: int = 0
    missing: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether everything that could be compared was equal."""
        return not self.different and not self.missing

    def add(self, other: "Comparison") -> None:
        """Count what was compared elsewhere as well."""
        self.documents += other.documents
        self.equal += other.equal
        self.ahead += other.ahead
        self.different += other.different
        self.missing += other.missing
        self.examples = [*self.examples, *other.examples][:EXAMPLES]

    def note_example(self, document_id: str) -> None:
        """Remember the id of a document that does not agree, if there are few so far."""
        if len(self.examples) < EXAMPLES:
            self.examples.append(document_id)


async def compare_some(
    live: AsyncCollection[Document], rebuilt: Sequence[Document], comparison: Comparison
) -> list[str]:
    """Count how some rebuilt documents, as the store holds them, compare with the live ones.

    The ids of those without a live one, which are not counted: a live view may only be a moment behind.
    """
    ids = [document["_id"] for document in rebuilt]
    counterparts = {found["_id"]: found async for found in live.find({"_id": {"$in": ids}})}
    absent: list[str] = []
    for document in rebuilt:
        counterpart = counterparts.get(document["_id"])
        if counterpart is None:
            absent.append(document["_id"])
            continue
        comparison.documents += 1
        if counterpart["positions"] != document["positions"]:
            comparison.ahead += 1
        elif _content(counterpart) == _content(document):
            comparison.equal += 1
        else:
            comparison.different += 1
            comparison.note_example(document["_id"])
    return absent


async def compare_again(
    live: AsyncCollection[Document], rebuilt: AsyncCollection[Document], ids: Sequence[str], comparison: Comparison
) -> None:
    """Count rebuilt documents that had no live one before; those that still have none are missing."""
    for start in range(0, len(ids), COMPARE_AT_ONCE):
        some = rebuilt.find({"_id": {"$in": ids[start : start + COMPARE_AT_ONCE]}})
        for document_id in await compare_some(live, await some.to_list(), comparison):
            count_missing(document_id, comparison)


def count_missing(document_id: str, comparison: Comparison) -> None:
    """Count a rebuilt document that has no live one."""
    comparison.documents += 1
    comparison.missing += 1
    comparison.note_example(document_id)


def _content(document: Document) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "revision"}
