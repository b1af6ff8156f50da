"""What an operator sees of a rebuild: by the command, against a fleet that starts nothing, and on a real database."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from souk.kernel.clock import SystemClock
from souk.projections.projection import Comparison, RebuildBatch, RebuildRun
from souk.projections.rebuild import Rebuild
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.fake_fleet import FakeFleet, fake_fleet
from souk.testing.processes import Ended, begin, run

NAME = "shop.numbers"
CLOCK = SystemClock()


@dataclass
class Numbers:
    """A projection of the numbers 1 to 40; a batch waits at `stop_at` until `go` is set."""

    made: dict[int, list[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    live: int = 1
    stop_at: int = 0
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def count(self) -> int:
        return 40

    async def open(self, run: RebuildRun) -> None:
        self.made[run.generation] = []

    async def batch(self, run: RebuildRun, after: str) -> RebuildBatch | None:
        first = int(after or 0)
        if first >= 40:
            return None
        if first == self.stop_at and first:
            self.waits.set()
            await self.go.wait()
        self.made[run.generation] += range(first + 1, first + 11)
        return RebuildBatch(str(first + 10), 10)

    async def switch(self, run: RebuildRun) -> None:
        self.live = run.generation

    async def clean(self, run: RebuildRun) -> None:
        self.made = {self.live: self.made[self.live]}

    async def compare(self, after: str) -> Comparison | None:
        return None if after else Comparison("40", 40, self.wrong)


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
async def fleet(tmp_path: Path, numbers: Numbers) -> AsyncIterator[FakeFleet]:
    database = await SqliteDatabase.open(tmp_path / "shop.db", clock=CLOCK)
    await migrate(database, platform_migrations(), PLATFORM)
    async with fake_fleet(tmp_path) as fleet:
        await fleet.add("mail", "mail-1")
        await fleet.add("shop", "shop-1", rebuilds={NAME: Rebuild("numbers", numbers, database, rest=0.0)})
        yield fleet
    await database.close()


async def souk(fleet: FakeFleet, *arguments: str) -> Ended:
    return await run("rebuild", *arguments, "--data", str(fleet.data))


async def test_it_is_made_anew_and_listed(fleet: FakeFleet, numbers: Numbers) -> None:
    ended = await souk(fleet)
    assert ended.out.splitlines()[1].split() == [NAME, "none"], ended.err
    ended = await souk(fleet, NAME)
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == f"{NAME}: opening, 0 of 40"
    assert lines[-2] == f"{NAME}: done, 40 of 40"
    assert lines[-1].startswith(f"{NAME}: made anew in ")
    assert numbers.made == {2: list(range(1, 41))}
    assert (await souk(fleet)).out.splitlines()[1].split()[:4] == [NAME, "done", "40", "40"]


async def test_a_service_with_one_projection_may_be_named_alone(fleet: FakeFleet) -> None:
    ended = await souk(fleet, "shop", "--json")
    last = json.loads(ended.out.splitlines()[-1])
    assert (last["name"], last["joined"], last["progress"]["phase"], last["progress"]["done"]) == (
        NAME,
        False,
        "done",
        40,
    )


async def test_a_wrong_name_names_the_nearest(fleet: FakeFleet) -> None:
    ended = await souk(fleet, "shop.nubmers")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"souk: there is no projection 'shop.nubmers'; the nearest is '{NAME}'\n"


async def test_ctrl_c_leaves_one_that_goes_on(fleet: FakeFleet, numbers: Numbers) -> None:
    numbers.stop_at = 20
    process = await begin("rebuild", NAME, "--data", str(fleet.data))
    await numbers.waits.wait()
    await asyncio.wait_for(process.stdout.readline(), 60)  # the command has heard of it
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130
    assert f"`souk rebuild {NAME}` goes on from there" in err.decode()
    while "filling (stopped)" not in (listed := (await souk(fleet)).out):
        assert "filling" in listed
    numbers.go.set()
    ended = await souk(fleet, NAME)
    assert ended.out.splitlines()[0] == f"{NAME}: filling, 20 of 40 (goes on)"
    assert ended.out.splitlines()[-1].endswith("20 items in this run; it is in use now")
    assert numbers.made == {2: list(range(1, 41))}


async def test_a_second_command_joins_the_first(fleet: FakeFleet, numbers: Numbers) -> None:
    numbers.stop_at = 20
    first = asyncio.create_task(souk(fleet, NAME))
    await numbers.waits.wait()
    anew = await souk(fleet, NAME, "--anew")
    assert (anew.status, anew.err) == (
        1,
        "souk: another call works on the rebuild of numbers; stop that one, or join it\n",
    )
    second = await begin("rebuild", NAME, "--data", str(fleet.data))
    assert second.stdout is not None
    assert await second.stdout.readline() == f"{NAME}: filling, 20 of 40 (another command works on it)\n".encode()
    numbers.go.set()
    assert (await first).status == 0
    await asyncio.wait_for(second.communicate(), 60)
    assert second.returncode == 0
    assert numbers.made == {2: list(range(1, 41))}


async def test_a_check_lists_what_differs(fleet: FakeFleet, numbers: Numbers) -> None:
    ended = await souk(fleet, NAME, "--check")
    assert (ended.status, ended.out.splitlines()[-1]) == (0, f"{NAME}: 40 compared, no difference")
    numbers.wrong = ["7: is 8", "9: is missing"]
    ended = await souk(fleet, NAME, "--check")
    assert ended.status == 1
    assert ended.out.splitlines()[:2] == numbers.wrong
    assert ended.out.splitlines()[-1] == f"{NAME}: 40 compared, 2 differ"


async def test_where_no_system_runs_it_says_so(tmp_path: Path) -> None:
    ended = await run("rebuild", NAME, "--data", str(tmp_path))
    assert ended.status == 1
    assert ended.err.startswith(f"souk: no system runs on {tmp_path}")
