"""What pydantic finds wrong, in words for callers: each message names the value and the way out."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import orjson
from pydantic import BaseModel

from crm_shared.domain.errors import FieldError, InvalidInput
from crm_shared.text import quoted

# Of a name that is compared with others: comparing takes time.
_COMPARED = 60
_TIME = "a time with its zone, such as 2026-01-14T09:30:00+07:00"
_UUID = "a UUID, such as 3f2b8c1e-7d4a-4e6b-9c05-1a2b3c4d5e6f"
# What is expected, by pydantic's types of errors.
_EXPECTED = {
    **dict.fromkeys(("string_type", "string_sub_type"), "text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing", "finite_number"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "dataclass_type"), "an object"),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), _UUID),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "a date, such as 1988-03-08"),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"), _TIME),
}


def from_validation(errors: Sequence[Any], body: Any = None) -> InvalidInput:
    """Pydantic's findings as field errors. `body` is the type of the body, whose fields a misspelt one may mean."""
    fields = [FieldError(_place(error["loc"]), str(error["type"]), _message(error, body)) for error in errors]
    if len(fields) == 1:
        return InvalidInput(f"{fields[0].field or 'the body'}: {fields[0].message}", errors=fields)
    named = ", ".join(field_error.field or "the body" for field_error in fields[:3]) + (
        ", ..." if len(fields) > 3 else ""
    )
    return InvalidInput(f"{len(fields)} fields are not valid: {named}", errors=fields)


def json_pointer(path: Sequence[Any]) -> str:
    """The JSON pointer (RFC 6901) of a path of names and numbers."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def shown(value: Any) -> str:
    """A value of a request, safe and short enough to be repeated in a message."""
    match value:
        case str():
            return quoted(value)
        case dict():
            return "an object"
        case list():
            return "a list"
        case None | bool() | int() | float():
            return orjson.dumps(value).decode()
        case _:
            return "this"


def suggestion(name: str, known: Sequence[str]) -> str:
    """Which of the known names was meant, and which there are."""
    if not known:
        return "it takes none"
    by_lower = {known_name.lower(): known_name for known_name in known}
    near = get_close_matches(name.lower()[:_COMPARED], by_lower, n=1)
    meant = f"did you mean `{by_lower[near[0]]}`? " if near else ""
    return f"{meant}there are {', '.join(known)}"


def _place(location: Sequence[Any]) -> str:
    place, *rest = location or ("body",)
    match place:
        case "query":
            return f"?{'.'.join(str(part) for part in rest[:1])}"
        case "header" | "path":
            return f"{place}:{'.'.join(str(part) for part in rest[:1])}"
        case "body":
            # Pydantic marks an invalid name within an object so; the name itself is the part before.
            return json_pointer([part for part in rest if part != "[key]"])
        case _:
            return json_pointer(location)


def _message(error: Mapping[str, Any], body: Any) -> str:
    kind, given, context = error["type"], error.get("input"), error.get("ctx") or {}
    if kind in _EXPECTED:
        return f"write {_EXPECTED[kind]}, not {shown(given)}"
    if kind in _MESSAGES:
        return _MESSAGES[kind](given, context)
    if kind == "extra_forbidden":
        *path, name = error["loc"]
        known = field_names(body, path[1:])
        return f"there is no field {shown(name)} here" + (f"; {suggestion(str(name), known)}" if known else "")
    return str(error["msg"]).removeprefix("Value error, ")


def _one_of(given: Any, context: Mapping[str, Any]) -> str:
    expected = str(context["expected"])
    written = given.lower()[:_COMPARED] if isinstance(given, str) else ""
    near = get_close_matches(written, expected.split("'")[1::2], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{shown(given)} is not one of {expected}{hint}"


# Pydantic's types of errors whose message says more with the value in it.
_MESSAGES: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "missing": lambda _, __: "this is required: give it a value",
    "literal_error": _one_of,
    "enum": _one_of,
    "string_pattern_mismatch": lambda given, context: f"{shown(given)} does not have the form {context['pattern']}",
    "string_too_short": lambda given, context: (
        f"the text has {len(given)} characters; write at least {context['min_length']}"
    ),
    "string_too_long": lambda given, context: (
        f"the text has {len(given)} characters; write at most {context['max_length']}"
    ),
    "too_short": lambda _, context: f"there are {context['actual_length']}; give at least {context['min_length']}",
    "too_long": lambda given, context: f"there are {len(given)}; give at most {context['max_length']}",
    "greater_than_equal": lambda given, context: f"{shown(given)} is too small; write {context['ge']} or more",
    "greater_than": lambda given, context: f"{shown(given)} is too small; write more than {context['gt']}",
    "less_than_equal": lambda given, context: f"{shown(given)} is too large; write {context['le']} or less",
    "less_than": lambda given, context: f"{shown(given)} is too large; write less than {context['lt']}",
}


def field_names(kind: Any, path: Sequence[Any]) -> list[str]:
    """The names of the fields that the object at `path` within a value of type `kind` can have; empty if unknown."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return field_names(arguments[0], path)
    if origin is Union or origin is UnionType:
        # In an error's path a choice among several may stand as a part of its own.
        names_by_choice = [field_names(choice, path) or field_names(choice, path[1:]) for choice in arguments]
        return next((names for names in names_by_choice if names), [])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        if not path:
            return list(fields)
        return field_names(fields[path[0]], path[1:]) if path[0] in fields else []
    if arguments and path:
        # A list's members are of its only type, a dictionary's of its second.
        return field_names(arguments[-1] if arguments[-1] is not ... else arguments[0], path[1:])
    return []
