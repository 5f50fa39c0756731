"""The command `crm`: runs Relata on this machine, looks at it, and loads real purchases into it."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from relata_local.addresses import Addresses, find_addresses
from relata_local.api_client import Api, ApiError
from relata_local.cdnow import read_history
from relata_local.customer_page import fetch, find_customer, page
from relata_local.demo import demonstrate, show, show_load
from relata_local.display import print_failure, print_json, status_table
from relata_local.errors import LocalError
from relata_local.loading import load
from relata_local.runner import run_in_foreground
from relata_local.services import FIRST_PORT, SERVERS, SERVICES, StackPorts
from relata_local.stack import Stack
from relata_local.tail import event_filter, follow, one_line

app = typer.Typer(
    help="Relata on one machine: `crm up` runs it, the other commands use what runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
load_app = typer.Typer(help="Load real data through the public API.", no_args_is_help=True)
app.add_typer(load_app, name="load")

Data = Annotated[Path, typer.Option("--data", envvar="RELATA_DATA", help="Folder that holds all data of a stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
PortBase = Annotated[
    int,
    typer.Option(
        envvar="RELATA_PORT_BASE",
        min=1,
        max=65500,
        help="Port of contacts; the other services follow, the servers come 10 ports later.",
    ),
]
Ports = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="NAME=PORT", help="One port apart, e.g. feedback=9104. Also RELATA_PORT_FEEDBACK."),
]
Full = Annotated[bool, typer.Option("--full", help="All 69,659 purchases instead of the sample of 6,919.")]
UrlContacts = Annotated[str | None, typer.Option(envvar="RELATA_CONTACTS_URL", help="Where contacts runs.")]
UrlInteractions = Annotated[str | None, typer.Option(envvar="RELATA_INTERACTIONS_URL", help="Where interactions runs.")]
UrlSegmentation = Annotated[str | None, typer.Option(envvar="RELATA_SEGMENTATION_URL", help="Where segmentation runs.")]
UrlFeedback = Annotated[str | None, typer.Option(envvar="RELATA_FEEDBACK_URL", help="Where feedback runs.")]
UrlCustomer360 = Annotated[str | None, typer.Option(envvar="RELATA_CUSTOMER360_URL", help="Where customer360 runs.")]
Kafka = Annotated[str | None, typer.Option(envvar="RELATA_KAFKA", help="The broker's bootstrap address.")]

DEFAULT_DATA = Path(".data")


@app.command()
def up(
    data: Data = DEFAULT_DATA, port_base: PortBase = FIRST_PORT, port: Ports = None, as_json: AsJson = False
) -> None:
    """Start the servers and all services, show their state, and serve until Ctrl-C."""
    stack = Stack(data, _ports(port_base, port))
    run_in_foreground(stack, Console(), as_json=as_json)


@app.command()
def demo(
    full: Full = False,
    once: Annotated[bool, typer.Option("--once", help="Stop after showing the results.")] = False,
    data: Data = DEFAULT_DATA,
    port_base: PortBase = FIRST_PORT,
    port: Ports = None,
    as_json: AsJson = False,
) -> None:
    """Start everything, load real purchases, define segments, show what came of it, and go on serving."""
    history = read_history(full)
    stack = Stack(data, _ports(port_base, port))
    console = Console()
    agreed: list[bool] = []

    def work(running: Stack) -> None:
        with Api(running.urls) as api, _progress(as_json) as progress:
            found = demonstrate(api, history, progress)
        agreed.append(found.agrees)
        if as_json:
            print_json(found.as_json())
        else:
            show(found, console)

    run_in_foreground(stack, console, as_json=as_json, work=work, serve=not once)
    if agreed == [False]:
        raise LocalError("the views differ from the file")


@app.command()
def status(
    data: Data = DEFAULT_DATA,
    url_contacts: UrlContacts = None,
    url_interactions: UrlInteractions = None,
    url_segmentation: UrlSegmentation = None,
    url_feedback: UrlFeedback = None,
    url_customer360: UrlCustomer360 = None,
    as_json: AsJson = False,
) -> None:
    """Show, per service, the events stored and published, and the lag of each projection."""
    urls = (url_contacts, url_interactions, url_segmentation, url_feedback, url_customer360)
    addresses = find_addresses(data, dict(zip(SERVICES, urls, strict=True)))
    report: dict[str, Any] = {}
    with Api(addresses.services, timeout=10) as api:
        for service in api.urls:
            try:
                report[service] = api.get(service, "/v1/operations/status", patient=False)
            except LocalError as error:
                report[service] = {"error": error.message}
    _print(as_json, report, lambda console: console.print(status_table(report)))
    silent = [service for service, found in report.items() if "error" in found]
    if silent:
        raise LocalError(f"no status from {', '.join(silent)}")


@app.command()
def tail(
    data: Data = DEFAULT_DATA,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type, e.g. PurchaseRecorded. Repeatable.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="Only events of this customer: id, or an identifier such as email:a@b.c.")
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Start with the oldest event.")] = False,
    follow_on: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more, or print what is there and stop.")
    ] = True,
    kafka: Kafka = None,
    url_customer360: UrlCustomer360 = None,
    as_json: AsJson = False,
) -> None:
    """Show the public events of all services as they pass on the broker."""
    addresses = find_addresses(data, {"customer360": url_customer360}, kafka)
    if addresses.kafka is None:
        raise LocalError("the broker's address is not known: give --kafka")
    customer_id = None
    if customer is not None:
        customer_id = _customer_id(addresses, customer)
    passes = event_filter(event_type or [], customer_id)

    async def print_events(bootstrap: str) -> None:
        async for event in follow(bootstrap, from_beginning=from_beginning, until_end=not follow_on):
            if passes(event):
                if as_json:
                    print_json(event.as_json())
                else:
                    print(one_line(event), flush=True)

    try:
        asyncio.run(print_events(addresses.kafka))
    except KeyboardInterrupt:
        pass  # how one stops looking


@app.command("show")
def show_customer(
    customer: Annotated[str, typer.Argument(help="Customer id, email:a@b.c, phone:+84..., external:system:value.")],
    timeline: Annotated[int, typer.Option(min=0, max=500, help="How many entries of the timeline.")] = 15,
    data: Data = DEFAULT_DATA,
    url_customer360: UrlCustomer360 = None,
    as_json: AsJson = False,
) -> None:
    """Show the 360 of one customer with the newest entries of the timeline."""
    addresses = find_addresses(data, {"customer360": url_customer360})
    with Api(addresses.require("customer360")) as api:
        try:
            found = fetch(api, find_customer(api, customer), timeline)
        except ApiError as error:
            if error.code == "not_found":
                raise LocalError(f"there is no customer {customer}") from error
            raise
    _print(as_json, found, lambda console: console.print(page(found)))


@load_app.command()
def cdnow(
    full: Full = False,
    data: Data = DEFAULT_DATA,
    url_contacts: UrlContacts = None,
    url_interactions: UrlInteractions = None,
    url_segmentation: UrlSegmentation = None,
    url_customer360: UrlCustomer360 = None,
    as_json: AsJson = False,
) -> None:
    """Load the CDNOW purchases, wait for the views, and compare their totals with the file's."""
    history = read_history(full)
    urls = {
        "contacts": url_contacts,
        "interactions": url_interactions,
        "segmentation": url_segmentation,
        "customer360": url_customer360,
    }
    addresses = find_addresses(data, urls)
    services = {**addresses.services, **addresses.require("contacts", "interactions", "customer360")}
    with Api(services) as api, _progress(as_json) as progress:
        loaded = load(api, history, progress)
    _print(as_json, loaded.as_json(), lambda console: show_load(loaded, console))
    if not loaded.agrees:
        raise LocalError("the views differ from the file")


def main() -> None:
    """Run the command; a failure is one line, without a traceback."""
    try:
        app()
    except LocalError as error:
        print_failure(Console(stderr=True), error.message, error.details)
        sys.exit(1)
    except BrokenPipeError:
        # The reader has gone, as in `crm tail | head`; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(130)


def _ports(base: int, chosen: list[str] | None) -> StackPorts:
    """The ports from the options, after those from the environment."""
    named: dict[str, int] = {}
    from_environment = {name: os.environ.get(f"RELATA_PORT_{name.upper()}") for name in (*SERVICES, *SERVERS)}
    pairs = [(name, value) for name, value in from_environment.items() if value]
    pairs += [(name, value) for name, _, value in (choice.partition("=") for choice in chosen or [])]
    for name, value in pairs:
        if not value.isdecimal():
            raise LocalError(f"{name}={value} does not name a port: write --port feedback=9104")
        named[name] = int(value)
    return StackPorts.from_base(base, named)


def _customer_id(addresses: Addresses, customer: str) -> str:
    try:
        with Api(addresses.services) as api:
            if "customer360" not in api.urls:
                addresses.require("customer360")
            return find_customer(api, customer)
    except ApiError as error:
        raise LocalError(f"cannot find {customer}: {error.message}") from error


def _progress(as_json: bool) -> Progress:
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=as_json)


def _print(as_json: bool, value: Any, for_people: Callable[[Console], None]) -> None:
    if as_json:
        print_json(value)
    else:
        for_people(Console())
