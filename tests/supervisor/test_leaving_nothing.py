"""Whatever happens to a supervisor, its output, or its disk, nothing of its fleet is left; with real engines."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from souk.runtime.data.layout import DataLayout
from souk.testing.free_ports import free_port
from souk.testing.processes import run_now
from souk.testing.system import START_LIMIT, STOP_LIMIT, reachable, until

pytestmark = pytest.mark.xdist_group("a fleet")


@dataclass
class Fleet:
    """A fleet whose output and logs are read."""

    data: Path
    url: str
    process: "subprocess.Popen[bytes]"

    def answers(self) -> bool:
        try:
            # Without TLS: to read the authorities takes 30 ms of CPU, and this is asked again and again.
            return httpx.get(f"{self.url}/readyz", trust_env=False, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def souk(self, *words: str) -> str:
        ended = run_now(*words, "--data", str(self.data))
        return ended.out + ended.err

    def processes(self) -> list[psutil.Process]:
        """Everything that was started on its data, whoever is its parent by now."""
        return [one for one in psutil.process_iter() if one.pid != self.process.pid and _is_of(one, str(self.data))]


def _is_of(process: psutil.Process, data: str) -> bool:
    try:
        told = process.environ().get("SOUK_DATA") == data
        return (told or any(data in word for word in process.cmdline())) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.fixture
def fleet(tmp_path: Path, tiny: Mapping[str, str]) -> Iterator[Fleet]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    with reachable(tmp_path) as place:
        data, port = place / "data", free_port()
        words = ("up", "--topology", "fleet", "--demo", "--data", str(data), "--port", str(port))
        with subprocess.Popen(
            (sys.executable, "-m", "souk.cli", *words),
            env={**kept, **tiny},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            fleet = Fleet(data, f"http://127.0.0.1:{port}", process)
            try:
                yield fleet
            finally:
                process.kill()
                for one in fleet.processes():
                    one.kill()


def read_as_head_does(fleet: Fleet) -> None:
    assert fleet.process.stdout is not None
    for _ in range(3):
        assert fleet.process.stdout.readline()
    fleet.process.stdout.close()


def test_what_cannot_be_recorded_does_not_run_and_a_reader_that_goes_away_changes_nothing(fleet: Fleet) -> None:
    read_as_head_does(fleet)
    until(fleet.answers, START_LIMIT, "it comes up though nobody reads what it says")
    assert "user: restarted" in fleet.souk("restart", "user"), "it goes on after it said that it is ready"
    # From now on the record cannot be written.
    DataLayout(fleet.data).processes.with_suffix(".new").mkdir()
    (service,) = [one for one in fleet.processes() if one.cmdline()[-2:] == ["serve", "user"]]
    service.kill()
    until(lambda: "its start cannot be recorded" in fleet.souk("ps"), STOP_LIMIT, "it says why it does not start")
    assert [one for one in fleet.processes() if one.cmdline()[-2:] == ["serve", "user"]] == []
    fleet.process.send_signal(signal.SIGTERM)
    assert fleet.process.wait(STOP_LIMIT) == 0
    assert fleet.processes() == []


def test_after_a_supervisor_was_killed_everything_ends_by_itself(fleet: Fleet) -> None:
    until(fleet.answers, START_LIMIT, "it comes up")
    assert len(fleet.processes()) > 3
    if os.geteuid() == 0:
        postgres = [one for one in fleet.processes() if one.name() == "postgres"]
        assert {one.username() for one in postgres} == {"souk-postgres"}
    fleet.process.kill()
    fleet.process.wait()
    until(lambda: fleet.processes() == [], STOP_LIMIT, "nothing is left")
    assert "no system runs" in fleet.souk("ps")


_ON_A_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


@pytest.mark.parametrize("after", [b"postgres", pytest.param(b"user-1", marks=pytest.mark.full)])
def test_ctrl_c_twice_while_it_starts_leaves_nothing_and_no_traceback(
    tmp_path: Path, tiny: Mapping[str, str], after: bytes
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    with reachable(tmp_path) as place:
        data = place / "data"
        words = (sys.executable, "-m", "souk.cli", "up", "--topology", "fleet", "--data", str(data), "--port", "0")
        with subprocess.Popen(
            (sys.executable, "-c", _ON_A_TERMINAL, *words),
            env={**kept, **tiny, "TERM": "xterm"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            fleet, seen = Fleet(data, "", process), bytearray()
            while after not in seen:
                piece = os.read(process.stdout.fileno(), 65_536)
                assert piece, seen
                seen += piece
            process.stdin.write(b"\x03\x03")
            process.stdin.flush()
            while piece := os.read(process.stdout.fileno(), 65_536):
                seen += piece
            process.wait(STOP_LIMIT)
            until(lambda: fleet.processes() == [], STOP_LIMIT, "nothing is left")
        assert b"Traceback" not in seen, seen.decode()
