"""JSON bodies: a name that stands twice in an object is found, and nothing else is taken for one."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_shared.http.problems import DuplicateKey, MalformedRequest
from crm_shared.http.strict_json import parse_json


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"a": 1, "a": 1}', "/a"),
        (b'{"a":1,"b":2,"a":3}', "/a"),
        (b'{"lines": [{"sku": "x"}, {"sku": "x", "sku": "y"}]}', "/lines/1/sku"),
        (b'[{"a": [], "b": {"c": 1, "d": [1, 2, {"e": 1}], "c": null}}]', "/0/b/c"),
        (b'{"": 1, "": 2}', "/"),
        (b'{"a/b": {"~": 1, "~": 2}}', "/a~1b/~0"),
        # The same name, written in two ways.
        (b'{"a": 1, "\\u0061": 2}', "/a"),
        (b'{"a": 1, "b": "\\u003a", "a": 2}', "/a"),
        # What is dropped and what stays have as many colons as the body when escapes are counted.
        (b'{"a": 1, "a": "\\u003A"}', "/a"),
        (b'{"a": {"x": 1, "y": 2}, "a": {"z": ":"}}', "/a"),
        (b'{"a:": 1, "a:": 2}', "/a:"),
        (b'{"\\"": 1, "\\"": 2}', '/"'),
        ('{"tên": 1, "tên": 2}'.encode(), "/tên"),
        (b'{"deep": ' + b"[" * 400 + b'{"a": 1, "a": 2}' + b"]" * 400 + b"}", "/deep" + "/0" * 400 + "/a"),
    ],
)
def test_a_name_that_stands_twice_in_an_object_is_refused_by_its_place(raw: bytes, field: str) -> None:
    with pytest.raises(DuplicateKey) as refused:
        parse_json(raw)

    assert [(one.field, one.code) for one in refused.value.errors] == [(field, "duplicate_key")]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": "a", "b": "a:a", "c": {"a": 1}}',
        b'[{"a": 1}, {"a": 1}]',
        b'{"a": "{\\"a\\": 1, \\"a\\": 2}"}',
        b'{"a": "\\u003a", "b": "\\u003A:"}',
        b'{"a": "\\\\", "b": ":", "c": "\\\\\\""}',
        b'{"a": 1, "A": 2, " a": 3}',
        # In Unicode two names may look alike and still be two.
        '{"\u00e9": 1, "e\u0301": 2}'.encode(),
        b'{"a": 123456789012345678901234567890, "b": 1.0e2}',
        b"[" * 400 + b"]" * 400,
        b'":"',
        b"7",
    ],
)
def test_names_that_stand_once_are_taken(raw: bytes) -> None:
    assert parse_json(raw) == orjson.loads(raw)


class Object:
    """An object as it is written: with names that may come again."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        self.members = members


NAMES = st.text(alphabet=st.sampled_from('a:"\\{,é '), max_size=2)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 9) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(NAMES, inner), max_size=3).map(Object),
    max_leaves=8,
)


def written(value: Any, *, escaped: bool) -> str:
    if isinstance(value, Object):
        return (
            "{"
            + ",".join(f"{written(k, escaped=escaped)}: {written(v, escaped=escaped)}" for k, v in value.members)
            + "}"
        )
    if isinstance(value, list):
        return "[" + " , ".join(written(one, escaped=escaped) for one in value) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace(":", "\\u003a") if escaped else text


def repeats(value: Any) -> bool:
    if isinstance(value, Object):
        names = [name for name, _ in value.members]
        return len(set(names)) < len(names) or any(repeats(one) for _, one in value.members)
    return isinstance(value, list) and any(repeats(one) for one in value)


@given(VALUES, st.booleans())
def test_a_body_is_refused_exactly_when_some_object_has_a_name_twice(value: Any, escaped: bool) -> None:
    raw = written(value, escaped=escaped).encode()

    try:
        parsed = parse_json(raw)
    except DuplicateKey:
        assert repeats(value)
    else:
        assert not repeats(value)
        assert parsed == json.loads(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a" 1}', b"{'a': 1}", b'{"a": NaN}', b'{"a": 1,}', b'"\\ud800"'])
def test_what_is_not_json_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(MalformedRequest) as refused:
        parse_json(raw)

    assert refused.value.code == "malformed_json"
