"""A process that is told to stop while it is started: whatever moment that is, it ends without a word."""

import asyncio
import os
import signal

from souk.runtime.process.child_process import ChildProcess
from souk.runtime.process.command import Command

MOMENTS = 40
APART = 0.001


async def test_an_interrupt_at_any_moment_of_a_start_ends_it_silently() -> None:
    said: list[bytes] = []
    for moment in range(MOMENTS):
        child = ChildProcess.start(Command(("sleep", "600"), os.environ), said.extend, signal.SIGINT)
        await asyncio.sleep(moment * APART)
        child.send(signal.SIGINT)
        assert await child.ended() == -signal.SIGINT, moment
    assert said == []


async def test_this_process_gets_its_own_interrupts_after_a_start() -> None:
    child = ChildProcess.start(Command(("sleep", "600"), os.environ), lambda lines: None)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    child.send(signal.SIGKILL)
    assert await child.ended() == -signal.SIGKILL
