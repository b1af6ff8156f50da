import asyncio
import os
import pty
import signal
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from souk.kernel.clock import SystemClock
from souk.kernel.errors import StoreUnavailable
from souk.runtime.process.background import BackgroundTasks, supervised
from souk.runtime.process.signals import StopSignals, live


async def test_work_that_fails_is_started_again() -> None:
    tries, well = 0, asyncio.Event()

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError("not yet")
        well.set()

    background = BackgroundTasks(SystemClock(), first_delay=0.001)
    background.start("work", work)
    await asyncio.wait_for(well.wait(), 30)
    await background.stop()
    assert tries == 3


@pytest.mark.parametrize(("error", "told"), [(StoreUnavailable("database x is away"), None), (ValueError("no"), True)])
async def test_that_a_database_is_away_is_told_without_a_traceback(error: Exception, told: bool | None) -> None:
    well = asyncio.Event()

    async def work() -> None:
        if not said:
            raise error
        well.set()

    with capture_logs() as said:
        background = BackgroundTasks(SystemClock(), first_delay=0.001)
        background.start("work", work)
        await asyncio.wait_for(well.wait(), 30)
        await background.stop()
    assert said[0].get("exc_info") is told
    assert said[0]["log_level"] == ("error" if told else "warning")


async def test_work_is_cancelled_and_awaited_at_the_end() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    async with supervised(SystemClock()) as background:
        background.start("work", work)
        await asyncio.sleep(0)
    assert ended


async def test_two_tasks_of_one_name_are_a_mistake() -> None:
    async with supervised(SystemClock()) as background:
        background.start("work", asyncio.Event().wait)
        with pytest.raises(ValueError, match="already"):
            background.start("work", asyncio.Event().wait)


async def test_the_first_signal_asks_and_the_second_insists() -> None:
    left: list[int] = []
    stop = StopSignals(leave=left.append)
    stop.ask(signal.SIGINT)
    await asyncio.wait_for(stop.wait(), 30)
    assert left == []
    stop.ask(signal.SIGINT)
    assert left == [signal.SIGINT]


async def test_asked_before_it_is_up_a_life_is_cancelled() -> None:
    stop, cleaned = StopSignals(), False

    async def life(up: asyncio.Event) -> None:
        nonlocal cleaned
        stop.ask(signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned = True

    await asyncio.wait_for(live(life, stop), 30)
    assert cleaned


async def test_asked_when_it_is_up_a_life_ends_by_itself() -> None:
    stop, ended = StopSignals(), False

    async def life(up: asyncio.Event) -> None:
        nonlocal ended
        up.set()
        stop.ask(signal.SIGTERM)
        await stop.wait()
        await asyncio.sleep(0)
        ended = True

    await asyncio.wait_for(live(life, stop), 30)
    assert ended


async def test_a_life_that_fails_says_so() -> None:
    async def life(up: asyncio.Event) -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        await live(life, StopSignals())


HANGUP = r"""
import asyncio, os, signal, sys
from souk.runtime.process.signals import StopSignals

async def main():
    stop = StopSignals()
    stop.install()
    called = asyncio.Event()
    stop.on_hangup(called.set)
    os.write(1, b"ready\n")
    waiting = [asyncio.create_task(one.wait()) for one in (stop, called)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    sys.exit(10 if waiting[0] in done else 20)

asyncio.run(main())
"""


def test_without_a_terminal_a_hangup_means_what_was_said() -> None:
    command = (sys.executable, "-c", HANGUP)
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 20


def test_with_a_terminal_a_hangup_stops() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, (sys.executable, "-c", HANGUP))
    assert b"ready" in os.read(terminal, 100)
    os.close(terminal)  # as when its window is closed
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 10


SETTLING = """
import asyncio, gc
from souk.runtime.process.signals import run

async def life(up, stop):
    made = [[] for _ in range(1000)]
    before = gc.get_freeze_count()
    up.set()
    while gc.get_freeze_count() < before + len(made):
        await asyncio.sleep(0)
    print("frozen")

run(life)
"""


def test_what_a_process_has_made_until_it_is_up_is_not_looked_through_again() -> None:
    ran = subprocess.run((sys.executable, "-c", SETTLING), capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout == "frozen\n"
