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
from relata_local.brokers import BrokerKind, broker_of
from relata_local.cdnow import read_history
from relata_local.customer_page import fetch, find_customer, page
from relata_local.demo import demonstrate, show, show_load
from relata_local.display import print_failure, print_json, status_tables
from relata_local.errors import LocalError
from relata_local.event_lines import one_line
from relata_local.event_types import known_types, require_types
from relata_local.health import look
from relata_local.installed import FIRST_PORT
from relata_local.loading import load
from relata_local.runner import run_in_foreground
from relata_local.services import SERVERS, SERVICES, StackPorts
from relata_local.stack import Stack
from relata_local.tables import console
from relata_local.tail import event_filter, follow

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
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="NAME=URL",
        help="Where a service runs, e.g. contacts=http://host:8101. Repeatable. Also RELATA_CONTACTS_URL.",
    ),
]
Kafka = Annotated[str | None, typer.Option(envvar="RELATA_KAFKA", help="The broker's bootstrap address.")]

BrokerOption = Annotated[
    BrokerKind,
    typer.Option(help="The embedded broker, or Apache Kafka itself, which needs Java 17 and Maven."),
]

DEFAULT_DATA = Path(".data")


@app.command()
def up(
    data: Data = DEFAULT_DATA,
    port_base: PortBase = FIRST_PORT,
    port: Ports = None,
    broker: BrokerOption = BrokerKind.EMBEDDED,
    as_json: AsJson = False,
) -> None:
    """Start the servers and all services, show their state, and serve until Ctrl-C; what dies is started again."""
    stack = Stack(data, _ports(port_base, port), broker=broker_of(broker))
    run_in_foreground(stack, console(), as_json=as_json)


@app.command()
def demo(
    full: Full = False,
    once: Annotated[bool, typer.Option("--once", help="Stop after showing the results.")] = False,
    data: Data = DEFAULT_DATA,
    port_base: PortBase = FIRST_PORT,
    port: Ports = None,
    broker: BrokerOption = BrokerKind.EMBEDDED,
    as_json: AsJson = False,
) -> None:
    """Start everything, load real purchases, define segments, show what came of it, and go on serving."""
    history = read_history(full)
    stack = Stack(data, _ports(port_base, port), broker=broker_of(broker))
    out = console()
    agreed: list[bool] = []

    def work(running: Stack) -> None:
        with Api(running.urls) as api, _progress(as_json) as progress:
            demonstration = demonstrate(api, history, progress)
        agreed.append(demonstration.agrees)
        if as_json:
            print_json(demonstration.as_json())
        else:
            show(demonstration, out)

    run_in_foreground(stack, out, as_json=as_json, work=work, serve=not once)
    if agreed == [False]:
        raise LocalError("the views differ from the file")


@app.command()
def status(data: Data = DEFAULT_DATA, url: Urls = None, kafka: Kafka = None, as_json: AsJson = False) -> None:
    """Show what is dead or not ready; and per service the events stored and published, and each projection's lag."""
    health = look(find_addresses(data, _urls(url), kafka))
    _print(as_json, health.as_json(), lambda out: out.print(*status_tables(health)))
    if health.complaint:
        raise LocalError(health.complaint)


@app.command()
def tail(
    data: Data = DEFAULT_DATA,
    event_type: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only events of this type, e.g. PurchaseRecorded. Repeatable."),
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="Only events of this customer: id, or an identifier such as email:a@b.c.")
    ] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Start with the oldest event.")] = False,
    follow_on: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more, or print what is there and stop.")
    ] = True,
    kafka: Kafka = None,
    url: Urls = None,
    as_json: AsJson = False,
) -> None:
    """Show the public events of all services as they pass on the broker."""
    addresses = find_addresses(data, _urls(url), kafka)
    if addresses.kafka is None:
        raise LocalError("the broker's address is not known: give --kafka")
    if event_type:
        _check_types(event_type, addresses)
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
        pass  # Ctrl-C ends the listing


@app.command("show")
def show_customer(
    customer: Annotated[str, typer.Argument(help="Customer id, email:a@b.c, phone:+84..., external:system:value.")],
    timeline: Annotated[int, typer.Option(min=0, max=500, help="How many entries of the timeline.")] = 15,
    data: Data = DEFAULT_DATA,
    url: Urls = None,
    as_json: AsJson = False,
) -> None:
    """Show the 360 of one customer with the newest entries of the timeline."""
    addresses = find_addresses(data, _urls(url))
    with Api(addresses.require("customer360")) as api:
        try:
            customer_view = fetch(api, find_customer(api, customer), timeline)
        except ApiError as error:
            if error.code == "not_found":
                raise LocalError(f"there is no customer {customer}") from error
            raise
    _print(as_json, customer_view, lambda out: out.print(page(customer_view)))


@load_app.command()
def cdnow(full: Full = False, data: Data = DEFAULT_DATA, url: Urls = None, as_json: AsJson = False) -> None:
    """Load the CDNOW purchases, wait for the views, and compare their totals with the file's."""
    history = read_history(full)
    addresses = find_addresses(data, _urls(url))
    services = {**addresses.services, **addresses.require("contacts", "interactions", "customer360")}
    with Api(services) as api, _progress(as_json) as progress:
        loaded = load(api, history, progress)
    _print(as_json, loaded.as_json(), lambda out: show_load(loaded, out))
    if not loaded.agrees:
        raise LocalError("the views differ from the file")


def main() -> None:
    """Run the command; a failure is one line, without a traceback."""
    try:
        app()
    except LocalError as error:
        print_failure(console(sys.stderr), error.message, error.details)
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


def _urls(given: list[str] | None) -> dict[str, str]:
    """The services' addresses from the environment, and from the options, which come first."""
    environment = {name: os.environ.get(f"RELATA_{name.upper()}_URL", "") for name in SERVICES}
    urls = {name: url for name, url in environment.items() if url}
    for name, separator, url in (choice.partition("=") for choice in given or []):
        if name not in SERVICES or not separator or not url.startswith(("http://", "https://")):
            names = ", ".join(SERVICES)
            raise LocalError(f"--url {name}{separator}{url} does not say NAME=http://host:port with one of {names}")
        urls[name] = url
    return urls


def _check_types(wanted: list[str], addresses: Addresses) -> None:
    known = known_types(addresses.services)
    if known is None:
        note = "no service tells which event types there are: taken as given"
        print(f"crm: {note}: {', '.join(wanted)}", file=sys.stderr, flush=True)
    else:
        require_types(wanted, known)


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
    return Progress(*columns, console=console(sys.stderr), disable=as_json)


def _print(as_json: bool, value: Any, for_people: Callable[[Console], None]) -> None:
    if as_json:
        print_json(value)
    else:
        for_people(console())
