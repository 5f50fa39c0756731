"""Disks that fill up: clear answers meanwhile, nothing lost, and everything goes on once there is room again."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.faults.fleet import Fleet
from tests.faults.load import REQUEST_SECONDS, Load
from tests.faults.oracle import settled

FULL_SECONDS = 8.0
HEALED_SECONDS = 60.0
UNTIL_FULL_SECONDS = 60.0
# Each cluster is some 60 MB when made, and PostgreSQL grows its log by files of 16 MB.
SIZES = {"postgres": "256m", "mongodb": "256m"}
LEFT_BYTES = 64 * 1024


class SmallDisk:
    """A file system in memory of a fixed size, mounted on a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "relata-full", str(folder)],
            check=False,
            capture_output=True,
            text=True,
        )
        if mounted.returncode != 0:
            pytest.fail(f"a full disk needs the right to mount one (root does): {mounted.stderr.strip()}")

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def fill(self, left: int = LEFT_BYTES) -> None:
        """Leave so many bytes only."""
        with self._ballast.open("ab") as ballast:
            while (room := self.free - left) > 0:
                try:
                    ballast.write(b"\0" * min(room, 1024 * 1024))
                    ballast.flush()
                except OSError:
                    break  # somebody else was faster

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()


@pytest.fixture(scope="module")
def disks() -> Iterator[dict[str, SmallDisk]]:
    """A small disk for each store."""
    # Below /tmp itself, because PostgreSQL runs as a user who cannot pass through pytest's folders.
    parent = Path(tempfile.mkdtemp(prefix="relata-full-"))
    parent.chmod(0o755)
    made: dict[str, SmallDisk] = {}
    try:
        for store, size in SIZES.items():
            made[store] = SmallDisk(parent / store, size)
        yield made
    finally:
        for disk in made.values():
            disk.unmount()
        parent.rmdir()


@pytest.fixture(scope="module")
def cramped(disks: dict[str, SmallDisk], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet whose stores have their data on the small disks."""
    data = tmp_path_factory.mktemp("cramped")
    for store, disk in disks.items():
        (disk.folder / "data").mkdir()
        (data / store).symlink_to(disk.folder / "data", target_is_directory=True)
    with Fleet(data) as fleet:
        yield fleet


async def test_a_full_event_store_refuses_clearly_and_heals_by_itself_once_there_is_room(
    cramped: Fleet, disks: dict[str, SmallDisk], count: int, tally: Callable[..., None]
) -> None:
    disk = disks["postgres"]
    refused = 0
    slowest = 0.0

    async with Load(cramped.url, seed=7, most=2_000 * count) as load:
        for _ in range(count):
            await load.progress(20)
            disk.fill()
            try:
                refusal = await until_refused(cramped)
                await asyncio.sleep(FULL_SECONDS)
                refused += (await identify(cramped)).status_code == 503
            finally:
                disk.clear()
            slowest = max(slowest, await healed(cramped))
            assert refusal.json()["code"] == "store_unavailable"
            assert refusal.headers["content-type"] == "application/problem+json"
            assert refusal.headers["retry-after"] == "1"
        await load.progress(20)

    assert refused == count
    await nothing_lost(cramped, load)
    tally(times_full=count, commands=len(load.accepted), milliseconds_to_heal=round(slowest * 1000))


async def test_a_full_document_store_delays_views_only_and_they_catch_up_once_it_is_started_again(
    cramped: Fleet, disks: dict[str, SmallDisk], count: int, tally: Callable[..., None]
) -> None:
    disk = disks["mongodb"]
    slowest = 0.0

    async with Load(cramped.url, seed=8, most=2_000 * count) as load:
        for _ in range(count):
            await load.progress(20)
            disk.fill(left=0)
            try:
                trouble = await until_hindered(cramped)
                before = len(load.accepted)
                await load.progress(20)
                accepted = len(load.accepted) - before
            finally:
                disk.clear()
            # Like MongoDB it stops for good when it cannot write its journal; whoever runs it starts it again.
            await asyncio.to_thread(cramped.servers.documents.kill)
            await asyncio.to_thread(cramped.servers.documents.start)
            slowest = max(slowest, await healed(cramped))
            assert "projection contacts-service.customers" in trouble
            assert accepted >= 20

    await nothing_lost(cramped, load)
    tally(times_full=count, commands=len(load.accepted), milliseconds_to_heal=round(slowest * 1000))


async def identify(fleet: Fleet) -> httpx.Response:
    """One command, once."""
    value = f"full{time.time_ns()}@example.com"
    body = {"source": "webshop", "identifiers": [{"type": "email", "value": value}], "profile": {"name": "x" * 200}}
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        return await client.post(f"{fleet.url('contacts')}/v1/customers/identify", json=body)


async def until_refused(fleet: Fleet) -> httpx.Response:
    """Send commands until the disk is full enough for one to be refused; that answer."""
    async with asyncio.timeout(UNTIL_FULL_SECONDS):
        while (answer := await identify(fleet)).is_success:
            pass
    assert answer.status_code == 503, answer.text
    return answer


async def until_hindered(fleet: Fleet) -> set[str]:
    """What contacts says that it is not ready for, as soon as it says so."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client, asyncio.timeout(UNTIL_FULL_SECONDS):
        while (answer := await client.get(f"{fleet.url('contacts')}/readyz")).status_code == 200:
            await asyncio.sleep(0.1)
    return {check["check"] for check in answer.json()["checks"] if not check["ok"]}


async def healed(fleet: Fleet) -> float:
    """The seconds until a command is accepted and its event is in the view of another service."""
    started = time.monotonic()
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client, asyncio.timeout(HEALED_SECONDS):
        while (answer := await identify(fleet)).status_code == 503:
            await asyncio.sleep(0.1)
        identified = answer.raise_for_status().json()
        url = f"{fleet.url('customer360')}/v1/customers/{identified['customer_id']}"
        after = {"after": f"contacts:{identified['position']}"}
        while (answer := await client.get(url, params=after)).status_code == 503:
            await asyncio.sleep(0.1)
    assert answer.json()["identified"]
    return time.monotonic() - started


async def nothing_lost(fleet: Fleet, load: Load) -> None:
    assert not load.trouble
    oracle = await settled(fleet.settings)
    assert not oracle.answer_differences(load.accepted)
    assert not await oracle.topic_differences()
