"""One customer's 360 as a readable page."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from relata_local.api_client import Api
from relata_local.errors import LocalError
from relata_local.plain import printable
from relata_local.tables import Column, FittingTable


def find_customer(api: Api, wanted: str) -> str:
    """The id of the customer that `wanted` names: an id, `email:a@b.c`, `external:system:value`, or a bare value.

    A bare value is an email address when it holds an @, else a phone number. Raises `LocalError` when no customer
    or more than one has that identifier.
    """
    try:
        return str(UUID(wanted))
    except ValueError:
        identifier = as_identifier(wanted)
    customers = api.get("customer360", "/v1/customers", {"identifier": identifier, "limit": 2})["items"]
    if not customers:
        raise LocalError(f"no customer has the identifier {identifier}")
    if len(customers) > 1:
        raise LocalError(f"several customers have the identifier {identifier}: use a customer id")
    return str(customers[0]["customer_id"])


def as_identifier(wanted: str) -> str:
    """The identifier in the form that the API takes: `type:value` or `external:system:value`."""
    kind, separator, rest = wanted.partition(":")
    if separator and kind in {"email", "phone", "external"}:
        return wanted
    if separator and rest:
        return f"external:{wanted}"
    if "@" in wanted:
        return f"email:{wanted}"
    digits = wanted.lstrip("+").replace(" ", "").replace("-", "")
    if digits.isdecimal():
        return f"phone:{wanted}"
    raise LocalError(f"{wanted} is neither a customer id nor an identifier such as email:a@b.c or external:shop:42")


def fetch(api: Api, customer_id: str, entries: int) -> dict[str, Any]:
    """The 360 of a customer and the newest entries of the timeline. Raises `LocalError` for an unknown customer."""
    path = f"/v1/customers/{customer_id}"
    customer = api.get("customer360", path)
    timeline = api.get("customer360", f"{path}/timeline", {"limit": max(1, entries)})
    return {"customer": customer, "timeline": timeline["items"][:entries], "more": bool(timeline["next_cursor"])}


def page(found: Mapping[str, Any]) -> RenderableType:
    """The 360 and the timeline for people."""
    customer: Mapping[str, Any] = found["customer"]
    parts: list[RenderableType] = [_header(customer)]
    panels = [
        _purchases(customer),
        _segments(customer),
        _profile(customer),
        _interactions(customer),
        _feedback(customer),
    ]
    parts.append(Columns([panel for panel in panels if panel is not None], expand=False))
    parts.append(_timeline(found["timeline"], found["more"]))
    positions = ", ".join(f"{source}:{position}" for source, position in sorted(customer["positions"].items()))
    parts.append(Text(f"as of {positions or 'nothing yet'}", "dim"))
    return Group(*parts)


def identifier_text(identifier: Mapping[str, Any]) -> str:
    """An identifier in one word, as `crm show` takes it."""
    system = identifier.get("system")
    return ":".join(str(part) for part in (identifier["type"], system, identifier["value"]) if part)


def money(amounts: Mapping[str, str]) -> str:
    """Amounts per currency in one line."""
    return ", ".join(f"{amount} {currency}" for currency, amount in sorted(amounts.items())) or "-"


def _header(customer: Mapping[str, Any]) -> Panel:
    name = customer["profile"].get("name")
    lines = Text(printable(name or "(no name)"), "bold")
    lines.append(f"\n{customer['customer_id']}", "dim")
    identifiers = [identifier_text(identifier) for identifier in customer["identifiers"]]
    lines.append("\n" + (printable("  ".join(identifiers)) or "no identifiers"), "cyan")
    if not customer["identified"]:
        lines.append("\nnot identified yet: contacts has not announced this customer", "yellow")
    if customer["tags"]:
        lines.append("\n" + printable("  ".join(f"#{tag}" for tag in customer["tags"])), "magenta")
    return Panel(lines, title="Customer", title_align="left", expand=False)


def _purchases(customer: Mapping[str, Any]) -> Panel:
    purchases = customer["purchases"]
    rows = {
        "purchases": f"{purchases['count']:,}",
        "revenue": money(purchases["revenue"]),
        "average": money(purchases.get("average") or {}),
        "first": _day(purchases.get("first_at")),
        "last": _day(purchases.get("last_at")),
    }
    return _facts("Purchases", rows)


def _segments(customer: Mapping[str, Any]) -> Panel:
    rows = {segment["name"]: f"since {_day(segment['since'])}" for segment in customer["segments"]}
    return _facts("Segments", rows or {"none": ""})


def _profile(customer: Mapping[str, Any]) -> Panel | None:
    facts = {**customer["profile"], **customer["attributes"]}
    preferences = customer.get("preferences")
    rows = {key: _value(value) for key, value in facts.items() if value is not None and key != "name"}
    if preferences:
        rows |= {f"prefers {key}": _value(value) for key, value in preferences.items() if value}
    return _facts("Profile", rows) if rows else None


def _interactions(customer: Mapping[str, Any]) -> Panel | None:
    interactions = customer["interactions"]
    if not interactions["count"]:
        return None
    rows = {"all": f"{interactions['count']:,}, last {_day(interactions['last_at'])}"}
    for channel, summary in sorted(interactions["by_channel"].items()):
        rows[channel] = f"{summary['count']:,}, last {_day(summary['last_at'])}"
    return _facts("Interactions", rows)


def _feedback(customer: Mapping[str, Any]) -> Panel | None:
    feedback = customer["feedback"]
    if not feedback["count"]:
        return None
    rows = {"answers": f"{feedback['count']:,}, last {_day(feedback['last_at'])}"}
    if feedback.get("nps") is not None:
        rows["NPS answer"] = str(feedback["nps"])
    for survey, latest in sorted(feedback["latest"].items()):
        rows[survey] = _value(latest["answers"])
    return _facts("Feedback", rows)


def _timeline(entries: Sequence[Mapping[str, Any]], more: bool) -> FittingTable:
    caption = "older entries follow" if more else None
    columns = [Column("when"), Column("what", folding=True), Column("event", rank=1)]
    table = FittingTable("Timeline, newest first", columns, caption)
    for entry in entries:
        summary, kind = Text(printable(entry["summary"])), Text(printable(entry["type"]), "dim")
        table.add(_minute(entry["occurred_at"]), summary, kind)
    return table


def _facts(title: str, rows: Mapping[str, str]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for key, value in rows.items():
        table.add_row(Text(printable(key), "dim"), Text(printable(value)))
    return Panel(table, title=title, title_align="left")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _day(moment: str | None) -> str:
    return moment[:10] if moment else "-"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
