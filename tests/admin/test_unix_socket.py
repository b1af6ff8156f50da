"""Who can open a control socket, and where it can be."""

import asyncio
import os
import pwd
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import connection
from souk.admin.servicers.process import Inspected, controlling
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.data.directory import private
from souk.runtime.data.layout import DataLayout
from souk.telemetry.health import Health
from souk.telemetry.traffic import Traffic
from souk.testing.fake_fleet import fake_fleet

CLOCK = SystemClock()
OTHER = "nobody"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@asynccontextmanager
async def control(path: Path) -> AsyncIterator[None]:
    async with controlling(path, Inspected("order", "order-1", Breakers(CLOCK), Traffic(), CLOCK, Health(CLOCK))):
        yield


async def instance_at(path: Path) -> str:
    async with connection(str(path)) as channel:
        status = await fleet_pb2_grpc.ProcessStub(channel).GetStatus(fleet_pb2.GetStatusRequest(), timeout=5)
    return status.instance


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def crossroads() -> Iterator[Path]:
    """A folder that every user may pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="souk-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


AS_SOMEBODY_ELSE = """
import os, socket, sys
from souk.cli.root import run
control, data, uid = sys.argv[1:]
run(["ps", "--data", "/nowhere"])  # imports what it needs while everything may be read
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
try:
    socket.socket(socket.AF_UNIX).connect(control)
except PermissionError:
    sys.exit(run(["ps", "--data", data]))
"""


async def as_somebody_else(data: Path, control: str) -> tuple[int, list[str]]:
    """Runs as another user: tries to open a socket and to inspect the system on `data`; gives the exit status and
    the output."""
    uid = str(pwd.getpwnam(OTHER).pw_uid)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AS_SOMEBODY_ELSE, control, str(data), uid), stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, err.decode().splitlines()


async def test_only_the_owner_can_open_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "order-1.sock"
    async with control(path):
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
        assert await instance_at(path) == "order-1"
    assert not path.exists()


async def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    async with control(tmp_path / "run" / "order-1.sock"):
        assert mode(tmp_path / "run") == 0o700


async def test_without_a_path_nothing_is_served(tmp_path: Path) -> None:
    async with controlling(None, Inspected("order", "order-1", Breakers(CLOCK), Traffic(), CLOCK, Health(CLOCK))):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "100%", "a#b", "a?b", "100%25", "ümlaut"])
async def test_any_name_of_a_folder_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "order-1.sock"
    async with control(path):
        assert await instance_at(path) == "order-1"


async def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "order-1.sock"
    async with control(path):
        os.link(path, tmp_path / "kept")
    (tmp_path / "kept").rename(path)
    async with control(path):
        assert await instance_at(path) == "order-1"


@AS_ROOT
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.chown(folder, OTHER)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        private(folder)


@AS_ROOT
async def test_another_user_is_refused(crossroads: Path) -> None:
    async with fake_fleet(crossroads) as fleet:
        order = await fleet.add("order", "order-1")
        for path in (order.view.control, str(DataLayout(crossroads).control)):
            status, said = await as_somebody_else(crossroads, path)
            assert status == 1
            assert said[1:] == [
                f"souk: the system on {crossroads} is root's, and only root may operate it; ask as that user"
            ]


async def test_a_path_that_is_too_long_is_said_in_one_line_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("x" * 120) / "c.sock"
    with pytest.raises(ConfigurationError, match=r"has \d+ bytes, and the system takes 107; choose a shorter one"):
        async with controlling(path, Inspected("order", "order-1", Breakers(CLOCK), Traffic(), CLOCK, Health(CLOCK))):
            pass
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
