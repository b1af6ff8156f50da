"""What is wrong under a running fleet is a note in `souk ps`, and no note any more when it is right again."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from souk.testing.system import START_LIMIT, System, fleet_process, reachable, until
from tests.market.operator import Operator

CLOCK = Path(__file__).parents[1] / "chaos" / "clock"
DISK = "512m"
LEFT = 8 * 1024 * 1024
OFF = 3_700
USER, GATEWAY = "user-1", "gateway-1"

pytestmark = pytest.mark.xdist_group("a fleet")


@dataclass
class Watched:
    """A fleet on a small disk of its own, whose processes have clocks that can be set."""

    place: Path
    operator: Operator

    def notes(self, instance: str, *expected: str) -> None:
        """Returns once the line of a process in `souk ps` ends with a note that has all of this."""
        until(lambda: all(text in self._line(instance) for text in expected), START_LIMIT, f"{instance}: {expected}")

    def well(self, instance: str) -> None:
        """Returns once its line has no note."""
        until(lambda: " since " not in self._line(instance), START_LIMIT, f"{instance} is well")

    def set_clock(self, instance: str, ahead: int) -> None:
        """Puts the clock of a process this far ahead of the true time."""
        file = self.place / "clocks" / str(self.operator.pid(instance))
        file.with_suffix(".new").write_text(str(ahead))
        file.with_suffix(".new").rename(file)

    def _line(self, instance: str) -> str:
        return next(line for line in self.operator.souk("ps").splitlines() if instance in line.split())


@contextmanager
def disk(place: Path) -> Iterator[Path]:
    """A small file system."""
    done = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={DISK},mode=711", "tmpfs", str(place)), capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("a file system can be mounted by root alone")
    try:
        yield place
    finally:
        subprocess.run(("umount", "-l", str(place)), check=True)


@pytest.fixture
def fleet(tmp_path: Path, tiny: Mapping[str, str]) -> Iterator[Watched]:
    with reachable(tmp_path) as folder, disk(folder) as place:
        (place / "clocks").mkdir()
        settings = {
            **tiny,
            "PYTHONPATH": f"{tiny['PYTHONPATH']}:{CLOCK}",
            "CHAOS_CLOCK": str(place / "clocks"),
            "SOUK_LOG_LEVEL": "warning",
        }
        (place / "logs").mkdir()
        up = fleet_process(place / "data", place / "logs", r"is ready on (?P<url>http://\S+)")
        system = System("fleet", place / "data", [up], settings)
        try:
            system.start()
            yield Watched(place, Operator(system.data))
        finally:
            system.kill()


@pytest.mark.full
def test_what_is_wrong_under_a_fleet_is_noted_while_it_lasts(fleet: Watched) -> None:
    fleet.well(USER)
    fleet.well(GATEWAY)

    fleet.operator.souk("stop", "postgres")
    fleet.notes(USER, "user's database: ", ", since ")
    fleet.operator.souk("start", "postgres")
    fleet.well(USER)

    free = os.statvfs(fleet.place)
    with (fleet.place / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize - LEFT)
    fleet.notes(USER, "disk: the disk is full: ")
    fleet.notes(GATEWAY, "disk: the disk is full: ")
    (fleet.place / "ballast").unlink()
    fleet.well(USER)
    fleet.well(GATEWAY)

    fleet.set_clock(USER, OFF)
    fleet.notes(USER, f"clock: {OFF} s ahead of user's database")
    fleet.set_clock(USER, 0)
    fleet.well(USER)

    fleet.well(GATEWAY)
    fleet.set_clock(GATEWAY, OFF)
    fleet.notes(GATEWAY, f"clock: {OFF} s ahead of {USER}")
    fleet.set_clock(GATEWAY, 0)
    fleet.well(GATEWAY)
