"""The oracle notices what it is there to notice: a proof that finds nothing must be able to find something."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from tests.faults.fleet import Fleet
from tests.faults.load import Load
from tests.faults.oracle import settled

CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("contacts", "customers", {"$push": {"tags": "invented"}}),
    ("contacts", "customers", {"$inc": {"positions.contacts": 1}}),
    ("interactions", "activities", {"$set": {"data.channel": "invented"}}),
    ("segmentation", "customers", {"$set": {"contacts.identified": False}}),
    ("segmentation", "members", {"$set": {"since.invented": 1}}),
    ("segmentation", "members_lookup", {"$push": {"member_of": "invented"}}),
    ("segmentation", "evaluations", {"$set": {"evaluated": {}}}),
    ("segmentation", "definitions", {"$inc": {"version": 1}}),
    ("feedback", "surveys", {"$set": {"title": "Invented"}}),
    ("segmentation", "customers_lookup", {"$set": {"partition": -1}}),
    ("customer360", "customers", {"$set": {"contacts.search": []}}),
    ("customer360", "customers_lookup", {"$set": {"identified_at": None, "seen_at": None}}),
    ("customer360", "timeline", {"$inc": {"position": 1}}),
]


@contextmanager
def changed(fleet: Fleet, service: str, collection: str, change: dict[str, Any]) -> Iterator[None]:
    """One document of a view is not as it should be."""
    settings = fleet.settings(service)
    with MongoClient[dict[str, Any]](settings.mongodb_uri, tz_aware=True) as client:
        documents = client[settings.database_name(service)][collection]
        before = documents.find_one({})
        assert before is not None
        documents.update_one({"_id": before["_id"]}, change)
        yield
        documents.replace_one({"_id": before["_id"]}, before)


async def test_the_oracle_notices_a_changed_document_a_lost_row_and_a_wrong_answer(fleet: Fleet) -> None:
    async with Load(fleet.url, seed=9, most=300) as load:
        await load.progress(300)
    oracle = await settled(fleet.settings)

    for service, collection, change in CHANGES:
        with changed(fleet, service, collection, change):
            assert oracle.view_differences(), f"{service}.{collection} {change}"
    settings = fleet.settings("customer360")
    with MongoClient[dict[str, Any]](settings.mongodb_uri, tz_aware=True) as client:
        timeline = client[settings.database_name("customer360")]["timeline"]
        row = timeline.find_one_and_delete({})
        assert row is not None
        assert any("timeline: 1 missing" in one for one in oracle.view_differences())
        timeline.insert_one(row)
    assert not oracle.view_differences()

    first = load.accepted[0]
    wrong = [
        dataclasses.replace(first, body={**first.body, "position": first.body["position"] + 1}),
        dataclasses.replace(first, status=409),
        dataclasses.replace(first, command=dataclasses.replace(first.command, key="never-sent")),
    ]
    assert [len(oracle.answer_differences([one])) for one in wrong] == [1, 1, 1]
    assert not oracle.answer_differences(load.accepted)

    # a log that is one event shorter than the topic, and one whose events come in another order
    log = oracle.logs["contacts"]
    shorter = dataclasses.replace(log, public=log.public[1:])
    assert await dataclasses.replace(oracle, logs={**oracle.logs, "contacts": shorter}).topic_differences()
    (event, record), *others = log.public
    longer = dataclasses.replace(log, public=[*others, (dataclasses.replace(event, id="invented"), record)])
    assert any(
        "was never sent" in one
        for one in await dataclasses.replace(oracle, logs={**oracle.logs, "contacts": longer}).topic_differences()
    )
