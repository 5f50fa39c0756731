"""The processes beside the measuring one: services with chosen roles, raw HTTP servers, and the load generator."""

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.harness import ROOT
from benchmarks.purchases import request_body
from relata_local import Stack
from relata_local.ports import HOST, accepts
from relata_local.processes import ManagedServer, inherited_environment

PATIENCE_SECONDS = 600


class RawServer(ManagedServer):
    """One of the servers in `raw_http`, to compare services with."""

    def __init__(self, kind: str, port: int, data: Path, environment: Mapping[str, str]) -> None:
        super().__init__(kind, port, data)
        self._environment = environment

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def launch(self) -> None:
        self._spawn(
            [sys.executable, "-m", "benchmarks.raw_http", self.name, str(self.port)],
            env={**inherited_environment("POSTGRES_"), **self._environment},
            cwd=ROOT,
        )

    def answers(self) -> bool:
        return accepts(self.port)


async def load(*arguments: str) -> Any:
    """What the load generator, in a process of its own, says in the end; RuntimeError when it failed."""
    # A file: of what passes through a pipe, uvloop has lost the end of a megabyte.
    with tempfile.TemporaryFile() as out:
        process = await asyncio.create_subprocess_exec(
            *_command(arguments), cwd=ROOT, stdout=out, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, err = await process.communicate()
        except BaseException:
            process.kill()
            raise
        if process.returncode:
            raise RuntimeError(f"the load generator failed: {err.decode()[-2000:]}")
        out.seek(0)
        return orjson.loads(out.read())


async def pass_through(stack: Stack, customers: Sequence[str]) -> None:
    """Import a purchase of each customer given, and wait until the views that purchases concern have all of them."""
    prefix = secrets.token_hex(4)
    body = b"\n".join(request_body(one, f"{prefix}-{number}") for number, one in enumerate(customers))
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
        answer = await client.post(
            f"{stack.url('interactions')}/v1/purchases/import",
            content=body,
            headers={"content-type": "application/x-ndjson"},
        )
        assert answer.status_code == 200, answer.text
        after = {"after": f"interactions:{orjson.loads(answer.content.splitlines()[-1])['position']}", "limit": "1"}
        for service, path in (
            ("interactions", f"/v1/customers/{customers[-1]}/activities"),
            ("segmentation", "/v1/segments"),
            ("customer360", "/v1/customers"),
        ):
            for _ in range(PATIENCE_SECONDS // 5):
                if (await client.get(stack.url(service) + path, params=after)).status_code != 503:
                    break
            else:
                raise RuntimeError(f"{service} did not catch up")


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "benchmarks.load", *arguments]
