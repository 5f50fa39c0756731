"""The committed JSON Schemas: what the models say, byte for byte, and what the contract allows."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Union

import jsonschema_rs
import pytest
from pydantic import Field, create_model

from crm_contracts.catalogue import all_event_types
from crm_contracts.events.contacts import Address
from crm_contracts.registry import EventData, PublicEventType
from crm_contracts.schemas import SchemaError, committed, schema_text
from crm_contracts.tooling import schemas
from crm_contracts.tooling.compatibility import violations
from crm_contracts.tooling.schemas import check, render, schema_of, write
from crm_contracts.types import PII, Money, Value

EVENT_TYPES = all_event_types()
each_event_type = pytest.mark.parametrize("event_type", EVENT_TYPES, ids=lambda each: each.ce_type)


class Node(Value):
    """A value that contains itself."""

    child: "Node | None" = None


class Loop(EventData):
    """A payload with recursion."""

    node: Node


def a_type(model: type[EventData], minor: int = 0, major: int = 1, name: str = "Something") -> PublicEventType:
    return PublicEventType("contacts", name, major, minor, model, state=False)


def a_model(**fields: object) -> type[EventData]:
    model: type[EventData] = create_model("Something", __base__=EventData, **fields)  # type: ignore[call-overload]
    return model


def test_the_committed_schemas_are_what_the_models_say_byte_for_byte() -> None:
    assert check() == []


def test_the_registry_holds_the_events_that_other_systems_build_on() -> None:
    # given the types promised in version 1: removing or renaming one breaks every subscriber
    promised = {
        *("crm.contacts.CustomerIdentified.v1", "crm.contacts.CustomerDetailsChanged.v1"),
        *("crm.contacts.IdentityLinked.v1", "crm.contacts.CustomerTagged.v1", "crm.contacts.CustomerUntagged.v1"),
        *("crm.contacts.PreferencesChanged.v1", "crm.contacts.CustomerState.v1"),
        *("crm.interactions.InteractionLogged.v1", "crm.interactions.PurchaseRecorded.v1"),
        *("crm.segmentation.SegmentDefined.v1", "crm.segmentation.SegmentRetired.v1"),
        *("crm.segmentation.CustomerEnteredSegment.v1", "crm.segmentation.CustomerLeftSegment.v1"),
        *("crm.segmentation.MembershipState.v1", "crm.feedback.SurveyPublished.v1", "crm.feedback.SurveyAnswered.v1"),
    }
    assert promised <= {each.ce_type for each in EVENT_TYPES}


@each_event_type
def test_a_schema_follows_the_contract(event_type: PublicEventType) -> None:
    schema = schema_of(event_type)
    assert violations(schema) == []
    assert schema["$id"] == event_type.schema_path
    assert schema["title"] == event_type.name
    assert schema["description"]
    jsonschema_rs.meta.validate(schema)


@each_event_type
def test_no_schema_says_oneof_allof_anyof_or_refers_elsewhere(event_type: PublicEventType) -> None:
    text = render(schema_of(event_type)).decode()
    for keyword in ("oneOf", "allOf", "anyOf", "$ref", "$defs", "not", "discriminator", "enum", "const", "default"):
        assert f'"{keyword}":' not in text


@each_event_type
def test_every_field_says_what_it_means(event_type: PublicEventType) -> None:
    def undescribed(schema: dict[str, Any], path: str) -> list[str]:
        fields = schema.get("properties", {})
        found = [f"{path}/{name}" for name, field in fields.items() if "description" not in field]
        for name, field in fields.items():
            found += undescribed(field.get("items", field), f"{path}/{name}")
        return found

    assert undescribed(schema_of(event_type), "") == []


def test_every_personal_field_can_be_absent_and_null() -> None:
    # given every field of every event, however deep, that is marked as personal
    def personal(schema: dict[str, Any], path: str) -> list[tuple[str, Any, bool]]:
        found = []
        for name, field in schema.get("properties", {}).items():
            if "x-pii" in field:
                found.append((f"{path}/{name}", field["type"], name in schema.get("required", ())))
            found += personal(field.get("items", field), f"{path}/{name}")
        return found

    marked = [each for kind in EVENT_TYPES for each in personal(schema_of(kind), kind.name)]
    # then each is optional and nullable, and there are such fields at all
    assert len(marked) > 10
    assert [path for path, kind, required in marked if required or "null" not in kind] == []


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: a_model(name=(str, Field(json_schema_extra=PII))), "/name: a personal field must be optional"),
        (lambda: a_model(name=(str | None, Field(json_schema_extra=PII))), "a personal field must be optional"),
        (lambda: a_model(name=(str, Field("", json_schema_extra=PII))), "a personal field must be optional"),
        (lambda: a_model(kind=(Literal["a", "b"], ...)), "closes an enumeration"),
        (lambda: a_model(kind=(Literal["a"], ...)), "closes an enumeration"),
        (lambda: a_model(what=(Union[Money, Address], ...)), "a variant is a new event type"),  # noqa: UP007
        (lambda: a_model(what=(Money | str, ...)), "a variant is a new event type"),
        (lambda: a_model(what=(list[str] | None | dict[str, str], ...)), "a variant is a new event type"),
        (lambda: a_model(what=(object, ...)), "`type` must name known types"),
        (lambda: a_model(what=(tuple[str, int], ...)), "`prefixItems` is not part of"),
        (lambda: a_model(what=(set[str], ...)), "`uniqueItems` is not part of"),
        (lambda: a_model(what=(dict[str, object], ...)), "`additionalProperties` must be a schema"),
        (lambda: Loop, "Node contains itself"),
        (lambda: create_model("Shut", __base__=EventData, __cls_kwargs__={"extra": "forbid"}, a=(int, 1)), "open"),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(model: Callable[[], type[EventData]], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        schema_of(a_type(model()))


def test_a_new_event_is_written_once_and_then_checked(tmp_path: Path) -> None:
    # given a model without a file
    kinds = [a_type(a_model(count=(int, ...)))]
    assert check(kinds, tmp_path) == ["contacts.Something 1.0 is not committed; run with --write"]
    # when it is written, twice
    first, second = write(tmp_path, kinds), write(tmp_path, kinds)
    # then it lies where it is served from, and is the same
    assert first == [tmp_path / "contacts/Something/1.0.json"]
    assert second == []
    assert first[0].read_bytes() == render(schema_of(kinds[0]))
    assert check(kinds, tmp_path) == []


def test_a_changed_model_needs_a_new_minor_version_and_leaves_the_old_file_alone(tmp_path: Path) -> None:
    # given a committed schema
    write(tmp_path, [a_type(a_model(count=(int, ...)))])
    before = committed(tmp_path)
    # when the model gets a field without a new version
    wider = a_model(count=(int, ...), note=(str | None, None))
    with pytest.raises(SchemaError, match=r'cannot change.*@public_event\("contacts", "1.1"\)'):
        write(tmp_path, [a_type(wider)])
    assert committed(tmp_path) == before
    # then with one it is written beside the old
    assert write(tmp_path, [a_type(wider, minor=1)]) == [tmp_path / "contacts/Something/1.1.json"]
    assert check([a_type(wider, minor=1)], tmp_path) == []
    assert before.items() <= committed(tmp_path).items()


def test_a_breaking_change_is_not_written_as_a_minor_version_but_as_a_major_one(tmp_path: Path) -> None:
    old, new = a_model(count=(int, ...)), a_model(count=(str, ...))
    write(tmp_path, [a_type(old)])
    with pytest.raises(SchemaError, match=r"Something 1.0 -> 1.1 /count: type integer became string"):
        write(tmp_path, [a_type(new, minor=1)])
    assert [path.name for path in write(tmp_path, [a_type(old), a_type(new, major=2)])] == ["2.0.json"]
    assert check([a_type(old), a_type(new, major=2)], tmp_path) == []


def test_a_committed_file_that_was_edited_is_noticed(tmp_path: Path) -> None:
    kinds = [a_type(a_model(count=(int, ...)))]
    (file,) = write(tmp_path, kinds)
    file.write_bytes(file.read_bytes() + b"\n")
    assert "is committed and cannot change" in check(kinds, tmp_path)[0]


def test_an_edited_older_version_is_noticed_when_it_no_longer_fits(tmp_path: Path) -> None:
    model = a_model(count=(int, ...))
    (file,) = write(tmp_path, [a_type(model)])
    write(tmp_path, [a_type(model, minor=1)])
    schema = json.loads(file.read_text())
    schema["properties"]["count"]["type"] = "string"
    file.write_bytes(render(schema))
    assert check([a_type(model, minor=1)], tmp_path) == [
        "contacts.Something 1.0 -> 1.1 /count: type string became integer; an old reader does not expect integer",
        "contacts.Something 1.0 -> 1.1 /count: type string became integer; "
        "a new reader does not expect string, which old events hold",
    ]


def test_an_event_that_nothing_publishes_any_more_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, [a_type(a_model(count=(int, ...)))])
    assert "no model publishes Something.v1" in check([], tmp_path)[0]


def test_versions_only_rise_and_rise_by_one(tmp_path: Path) -> None:
    model = a_model(count=(int, ...))
    with pytest.raises(SchemaError, match="has no predecessor"):
        write(tmp_path, [a_type(model, minor=2)])
    write(tmp_path, [a_type(model)])
    write(tmp_path, [a_type(model, minor=1)])
    assert "versions only rise" in check([a_type(model)], tmp_path)[0]


def test_a_stray_file_among_the_schemas_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "contacts/Something").mkdir(parents=True)
    (tmp_path / "contacts/Something/draft.json").touch()
    with pytest.raises(SchemaError, match="is not named"):
        committed(tmp_path)


@each_event_type
def test_a_schema_is_served_as_it_is_committed(event_type: PublicEventType) -> None:
    _, _, service, name, file = event_type.schema_path.split("/")
    served = schema_text(service, name, file.removesuffix(".json"))
    assert served == render(schema_of(event_type))


@pytest.mark.parametrize(
    ("service", "name", "version"),
    [
        ("contacts", "CustomerIdentified", "9.9"),
        ("contacts", "Nothing", "1.0"),
        ("nowhere", "CustomerIdentified", "1.0"),
        ("contacts", "CustomerIdentified", "1.0.json"),
        ("contacts", "CustomerIdentified", "1"),
        ("contacts", "..", "1.0"),
        ("..", "contacts", "1.0"),
        ("", "", ""),
        ("contacts", "CustomerIdentified/../CustomerTagged", "1.0"),
        ("contacts", "CustomerIdentified\0", "1.0"),
        ("contacts", "CustomerIdentified\n", "1.0"),
        ("contacts", "customeridentified", "1.0"),
        ("contacts", "CustomerIdentified", "१.०"),
        ("contacts", "C" * 100_000, "1.0"),
        ("contacts", "CustomerIdentified", "1." + "0" * 5_000),
    ],
)
def test_what_is_not_a_schema_is_not_served(service: str, name: str, version: str) -> None:
    assert schema_text(service, name, version) is None


def test_the_schemas_are_data_of_the_package() -> None:
    folder = files("crm_contracts").joinpath("schema_files")
    assert folder.joinpath("contacts", "CustomerIdentified", "1.0.json").is_file()


def test_the_command_line_checks_and_finds_nothing_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert schemas.main(["--check"]) == 0
    assert schemas.main(["--write"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_command_line_fails_readably(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(schemas, "all_event_types", lambda: [a_type(a_model(count=(int, ...)))])
    assert schemas.main(["--check"]) == 1
    assert "contacts.Something 1.0 is not committed; run with --write" in capsys.readouterr().err
