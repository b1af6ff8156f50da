"""What a fleet shows: lines in a pipe, a table on a terminal."""

import asyncio
import fcntl
import io
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import structlog
from rich.console import Console

from souk.admin.process_status import BACKING_OFF, READY, SERVICE, STARTING, ProcessView
from souk.cli.commands.up import follow
from souk.cli.output.fleet_lines import LinesScreen, in_short, prefix
from souk.cli.output.fleet_table import MOST_LINES, TableScreen, table
from souk.cli.output.terminal import start_logging
from souk.runtime.config.settings import LogFileSettings
from souk.supervisor.fleet import Fleet
from souk.telemetry.logs import logger
from souk.testing.system import START_LIMIT, STOP_LIMIT, reachable, until

ORDER = ProcessView(
    "order", "order-2", SERVICE, READY, 4711, "127.0.0.1:9102", 0, 1_800_000_000_000_000, "", Path("order-2.log"), ""
)
DEAD = replace(ORDER, instance="order-1", state=BACKING_OFF, pid=None, address="", restarts=3, why="no [bold]figs")
RECORD = (
    b'{"part":"order","event":"paid","level":"info","timestamp":"2026-11-22T21:00:01.5Z","amount":7,"trace_id":"x"}'
)


def test_a_line_has_a_prefix_that_lines_up() -> None:
    assert prefix("order-2") == "order-2        | "
    assert re.sub(r"\x1b\[\d*m", "", prefix("order-2", coloured=True)) == prefix("order-2")


@pytest.mark.parametrize(
    ("line", "short"),
    [
        (RECORD, "21:00:01 info    paid amount=7"),
        (b"ready order 127.0.0.1:1", "ready order 127.0.0.1:1"),
        (b'{"event":"request","level":"info","status":0,"caller":"","request_id":"x"}', " info    request status=0"),
        (
            b'{"event":"failed","level":"error","why":"a\\nb",'
            b'"exception":"Traceback:\\n  File x\\n    1/0\\nZero: no\\nmore"}',
            " error   failed why=a b Zero: no",
        ),
        (b"[1]", "[1]"),
    ],
)
def test_a_record_in_short(line: bytes, short: str) -> None:
    assert in_short(line).split() == short.split()


def test_states_are_said_once_and_logs_go_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    log = io.StringIO()
    screen = LinesScreen(log)
    for view in (replace(ORDER, state=STARTING), ORDER, ORDER, DEAD):
        screen.state(view)
    screen.output("order-2", [b"one", b"two \xff"])
    assert capsys.readouterr().out.splitlines() == [
        "order-2 is ready on 127.0.0.1:9102 (pid 4711)",
        "order-1 has died (no [bold]figs) and is started again; deaths so far: 3",
    ]
    assert log.getvalue() == "order-2        | one\norder-2        | two \ufffd\n"


def shown(*what: object) -> str:
    console = Console(file=io.StringIO(), width=120)
    for one in what:
        console.print(one)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_row_for_each_process() -> None:
    lines = shown(table([DEAD, ORDER], {"order-2": 12.34})).splitlines()
    assert lines[0].split() == ["service", "instance", "state", "pid", "port", "requests/s", "restarts"]
    assert lines[1].split() == ["order", "(2)", "order-1", "backing", "off", "-", "-", "3", "no", "[bold]figs"]
    assert lines[2].split() == ["order-2", "ready", "4711", "9102", "12.3", "0"]


async def test_a_flood_of_logs_does_not_hide_the_table() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    screen = TableScreen(console, Fleet())
    async with screen.live():
        screen.output("order-2", [b"line %d" % number for number in range(MOST_LINES * 3)])
        screen.output("order-2", [RECORD])
        await asyncio.sleep(0)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert f"... {MOST_LINES * 2 + 1} lines more in the logs" in text
    assert "paid amount=7" in text
    assert "line 3\n" not in text


async def test_what_the_supervisor_logs_stands_above_the_table_and_does_not_tear_it(tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w+") as file:
        console = Console(file=file, width=120, force_terminal=True, color_system=None)
        screen = TableScreen(console, Fleet())
        async with screen.live():
            start_logging(LogFileSettings(), screen.own_log)
            logger("control").info("the registry serves", url="unix:/x")
            assert "registry" not in (tmp_path / "screen").read_text(), "not before the table is moved"
        structlog.reset_defaults()
    text = (tmp_path / "screen").read_text()
    assert re.search(r"\x1b\[2K[^\n]*the registry serves", text)


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple[int, int]]:
    """Starts a process on a pseudo terminal; gives its pid and the other end of the terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-m", "souk.cli", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    os.set_blocking(terminal, False)
    try:
        yield pid, terminal
    finally:
        os.close(terminal)  # which ends what still runs there


def read(terminal: int, seen: bytearray) -> bytes:
    try:
        seen += os.read(terminal, 65_536)
    except (BlockingIOError, OSError):
        time.sleep(0.02)
    return bytes(seen)


def status_of(pid: int, terminal: int, limit: float) -> int:
    """Waits for the exit status; reads the terminal meanwhile, because a full one keeps the program from ending."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        read(terminal, bytearray())
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
    raise AssertionError(f"it did not end within {limit:g} s")


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize(("presses", "status", "limit"), [(1, 0, STOP_LIMIT), (2, 128 + signal.SIGINT, 3.0)])
def test_ctrl_c_drains_and_a_second_one_ends_at_once(tmp_path: Path, presses: int, status: int, limit: float) -> None:
    up = ("up", "--topology", "fleet", "--demo", "--port", "0", "--data")
    with reachable(tmp_path) as place, on_a_terminal(*up, str(place / "data")) as (pid, terminal):
        seen = bytearray()
        until(lambda: b"is ready on http" in read(terminal, seen), START_LIMIT, "the fleet is ready")
        until(lambda: re.search(rb"order +order-1 .*ready", read(terminal, seen)), START_LIMIT, "the table is there")
        everybody = psutil.Process(pid).children(recursive=True)
        for _ in range(presses):
            os.write(terminal, b"\x03")
            time.sleep(0.3)
        assert status_of(pid, terminal, limit) == status
        until(lambda: not [one for one in everybody if one.is_running()], STOP_LIMIT, "nothing is left")


async def test_a_command_beside_a_fleet_is_shown_by_its_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes: list[str] = []
    await follow("nothing", "http://h:1", tmp_path, notes.append)
    assert any("There is no command 'nothing'" in line for line in notes)
    assert notes[-1] == "`souk nothing` ended with status 2; the system is still serving on http://h:1"
    assert capfd.readouterr() == ("", ""), "what passes the screen tears its table"
