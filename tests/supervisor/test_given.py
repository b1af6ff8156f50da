"""A fleet on servers that it was given, one of an ordinary user, and one in a directory with a long name."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from souk.runtime.config import entry_points
from souk.runtime.data.layout import LONGEST_SOCKET
from souk.testing.postgres import TemporaryPostgres
from souk.testing.system import STOP_LIMIT, System, fleet, fleet_process, reachable, until
from souk.testing.valkey import ValkeyServer, valkey_server  # noqa: F401 - fixture
from tests.market.api import log_in, wish

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("a fleet")]

SERVICES = [service.name for service in entry_points.app(None).services if service.migrations is not None]
PASSWORD = "pw-4711"


def orders(url: str) -> None:
    with log_in(url, "demo@souk.test", "demo-password") as buyer:
        assert buyer.ok("POST", "/api/v1/orders", 201, json=wish(("P-101", 1, 1_200)))["status"] == "CONFIRMED"


def engines(system: System) -> set[str]:
    started = psutil.Process(system.parts[0].pid).children()
    return {Path(one.exe()).name for one in started} & {"postgres", "valkey-server"}


@pytest.fixture(params=["", "souk_"])
def databases(request: pytest.FixtureRequest, postgres_server: TemporaryPostgres) -> Iterator[str]:
    """The URL of databases that are there, and then that of an administrator."""

    async def each(work) -> None:
        for name in SERVICES:
            await work(request.param + name)

    if not request.param:
        asyncio.run(each(lambda name: postgres_server.create_service_database(name, PASSWORD)))
        yield postgres_server.service_url("{service}", PASSWORD)
    else:
        yield postgres_server.url()
    asyncio.run(each(postgres_server.drop_service_database))


def test_given_servers_are_used_and_no_other_is_started(
    tmp_path: Path,
    databases: str,
    valkey_server: ValkeyServer,  # noqa: F811
) -> None:
    arguments = ("--postgres", databases, "--redis", valkey_server.url, "--broker", "none")
    with fleet(tmp_path, arguments=arguments) as system:
        orders(system.url)
        assert engines(system) == set()
        assert system.stop() == [0]


def test_a_directory_with_a_long_name(tmp_path: Path) -> None:
    with reachable(tmp_path) as place:
        up = fleet_process(place / ("x" * LONGEST_SOCKET), place, r"is ready on (?P<url>http://\S+)")
        up.spawn({})
        orders(up.await_ready()["url"])
        elsewhere = Path((place / ("x" * LONGEST_SOCKET) / "run" / "where").read_text())
        assert elsewhere.is_dir()
        up.send(signal.SIGTERM)
        assert up.await_end() == 0
        assert not elsewhere.exists()


def _runs_as(user: pwd.struct_passwd) -> tuple[str, ...]:
    # What `setpriv` starts may still pass everywhere; what that starts in turn may not.
    return "setpriv", "--reuid", user.pw_name, "--regid", str(user.pw_gid), "--clear-groups", "--", "env"


def _python_of(user: pwd.struct_passwd, folder: Path) -> str:
    """A Python that an ordinary user can start, with the packages of this one."""
    base = shutil.which(f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    python = folder / "bin" / "python"
    for candidate in filter(None, (sys.executable, base)):
        # A virtual environment leads to the Python under its candidate, which may be where others cannot go.
        subprocess.run((candidate, "-m", "venv", "--clear", "--without-pip", folder), check=True)
        (site,) = folder.glob("lib/*/site-packages")
        (site / "souk.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
        check = (*_runs_as(user), python, "-c", "import souk.hosting, asyncpg, redis.asyncio, uvloop")
        if subprocess.run(check, check=False, capture_output=True, cwd="/").returncode == 0:
            return str(python)
    pytest.skip(f"{user.pw_name} can start no Python with these packages: they are where others may not go")


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as an ordinary user then")
def test_an_ordinary_user_has_a_fleet_as_well(tmp_path: Path) -> None:
    user = pwd.getpwnam("nobody")
    with reachable(tmp_path) as place:
        python, home = _python_of(user, place / "venv"), place / "home"
        home.mkdir()
        os.chown(home, user.pw_uid, user.pw_gid)
        up = fleet_process(home / "data", place, r"is ready on (?P<url>http://\S+)")
        up.command = (*_runs_as(user), python, *up.command[1:])
        up.spawn({})
        try:
            orders(up.await_ready()["url"])
        except AssertionError:
            up.send(signal.SIGKILL)
            raise AssertionError(up.output()) from None
        everybody = psutil.Process(up.pid).children(recursive=True)
        assert {one.username() for one in everybody} == {user.pw_name}
        up.send(signal.SIGTERM)
        assert up.await_end() == 0
        until(lambda: not [one for one in everybody if one.is_running()], STOP_LIMIT, "nothing is left")
