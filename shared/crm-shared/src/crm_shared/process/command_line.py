"""The command line of a service: its roles, and what operators do with its views."""

import argparse
import asyncio
from collections.abc import Sequence

from crm_shared.domain.errors import RelataError
from crm_shared.observability import logs
from crm_shared.process.definition import ROLES, Definition
from crm_shared.process.runtime import open_runtime
from crm_shared.process.serving import loop_factory, serve
from crm_shared.projections.document_projection import DocumentProjection
from crm_shared.projections.rebuild import Rebuild
from crm_shared.settings import Settings


def run(definition: Definition, arguments: Sequence[str] | None = None) -> None:
    """The command line of a service: `<service>-service api|relay|project|run`, and `parked`, `release`."""
    parser = argparse.ArgumentParser(prog=f"{definition.service}-service", description=definition.description)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="all roles in one process")
    commands.add_parser("api", help="serve the HTTP interface")
    if definition.publish is not None:
        commands.add_parser("relay", help="publish the log to Kafka")
    commands.add_parser("project", help="build the views from Kafka")
    commands.add_parser("parked", help="list the customers whose events could not be applied")
    release = commands.add_parser("release", help="apply a parked customer's dead letters again")
    release.add_argument("projection")
    release.add_argument("customer_id")
    rebuild = commands.add_parser("rebuild", help="build a view again from history beside the live one, then switch")
    rebuild.add_argument("projection")
    rebuild.add_argument(
        "--accept-differences", action="store_true", help="switch although documents differ, as after a change of code"
    )
    parsed = parser.parse_args(arguments)

    settings = Settings()
    if "http_port" not in settings.model_fields_set:
        settings = settings.model_copy(update={"http_port": definition.port})
    logs.configure(definition.service, level=settings.log_level, style=settings.log_format)
    match parsed.command:
        case "parked":
            work = _print_parked(definition, settings)
        case "rebuild":
            work = _rebuild(definition, settings, parsed.projection, accept=parsed.accept_differences)
        case "release":
            work = _release(definition, settings, parsed.projection, parsed.customer_id)
        case role:
            work = serve(definition, settings, ROLES if role == "run" else (role,))
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(work)
    except RelataError as error:
        parser.exit(1, f"{error.detail}\n")
    except KeyboardInterrupt:
        parser.exit(130)


async def _print_parked(definition: Definition, settings: Settings) -> None:
    async with open_runtime(definition, settings, ()) as runtime:
        for consumer in runtime.consumers:
            for parked in await consumer.parking.report():
                since, customer_id = parked["since"], parked["customer_id"]
                print(f"{since}  {parked['projection']}  {customer_id}  {parked['reason']}")  # noqa: T201


async def _rebuild(definition: Definition, settings: Settings, projection: str, *, accept: bool) -> None:
    def show(done: int, total: int, events: int) -> None:
        print(f"partition {done} of {total}, {events:,} events folded", flush=True)  # noqa: T201

    async with open_runtime(definition, settings, ()) as runtime:
        applier = next((consumer.applier for consumer in runtime.consumers if consumer.name == projection), None)
        if not isinstance(applier, DocumentProjection):
            raise RelataError(f"{definition.service} has no projection {projection!r} that can be rebuilt")
        rebuild = Rebuild(applier, runtime.database, runtime.kafka)
        rebuilt = await rebuild.fill(show)
        comparison = rebuilt.comparison
        print(  # noqa: T201
            f"{comparison.documents:,} documents: {comparison.equal:,} equal,"
            f" {comparison.ahead:,} further on in the live view,"
            f" {comparison.different:,} different, {comparison.missing:,} missing in the live view"
        )
        if not comparison.agrees and not accept:
            raise RelataError(
                f"not switched: look at {', '.join(comparison.examples)}; --accept-differences switches all the same"
            )
        await rebuild.switch(rebuilt)
        print(f"generation {rebuilt.generation} is live")  # noqa: T201


async def _release(definition: Definition, settings: Settings, projection: str, customer_id: str) -> None:
    async with open_runtime(definition, settings, ()) as runtime:
        for consumer in runtime.consumers:
            if consumer.name == projection:
                await consumer.parking.request_release(customer_id)
                return
        raise RelataError(f"{definition.service} has no projection {projection!r}")
