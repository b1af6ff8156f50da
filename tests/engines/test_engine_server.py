"""What ends with a test: all processes of a server, even when the test is killed, and even when they are paused."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, listens
from souk.testing.system import until

PATIENCE = 120.0
_LISTEN = "import socket, sys, time; it = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"


class Listener(EngineServer):
    """Two processes, of which the second listens."""

    name = "listener"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    def command(self) -> Sequence[str]:
        return ("sh", "-c", f'{sys.executable} -c "$0" {self.port} & sleep 600', _LISTEN)

    async def answers(self) -> bool:
        return listens(self.port)


def processes(folder: Path) -> list[psutil.Process]:
    """Those that run in a folder."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.cwd() == str(folder) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except psutil.Error:
            continue
    return found


async def test_it_is_started_once_and_killed_whole(tmp_path: Path) -> None:
    with Listener(tmp_path) as server:
        await server.start()
        await server.start()
        assert len(processes(tmp_path)) == 3
        assert server.memory > 0
        server.kill()
        assert not server.running
        until(lambda: not processes(tmp_path), PATIENCE, "all have ended")
        await server.start()
    until(lambda: not processes(tmp_path), PATIENCE, "all have ended")


async def test_it_is_asked_to_end(tmp_path: Path) -> None:
    with Listener(tmp_path) as server:
        await server.start()
        server.pause()
        await server.stop()
        assert not server.running
    until(lambda: not processes(tmp_path), PATIENCE, "all have ended")


async def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    class Broken(Listener):
        def command(self) -> Sequence[str]:
            return ("sh", "-c", "echo no disk; exit 3")

    with Broken(tmp_path) as server, pytest.raises(AssertionError, match="listener has ended: no disk"):
        await server.start()


@pytest.mark.parametrize("paused", [False, True])
def test_it_ends_with_a_test_that_is_killed(tmp_path: Path, paused: bool) -> None:
    program = (
        "import asyncio, os, signal; from pathlib import Path; from tests.engines.test_engine_server import Listener\n"
        f"server = Listener(Path({str(tmp_path)!r})); asyncio.run(server.start())\n"
        f"server.pause() if {paused} else None; os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not processes(tmp_path), PATIENCE, "all have ended")
    assert os.path.exists(tmp_path / "log")
