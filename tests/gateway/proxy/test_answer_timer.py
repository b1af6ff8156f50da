"""One timer of the loop serves the requests of a connection, and each is late by its own time."""

import asyncio

from souk.gateway.proxy.answer_timer import AnswerTimer
from souk.gateway.proxy.faults import FaultKind

SOON, LONG = 0.01, 3600.0
SAFETY = 60.0


class _Late:
    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.why = ""

    def __call__(self, kind: FaultKind, why: str) -> None:
        assert kind is FaultKind.LATE
        self.why = why
        self.event.set()

    async def wait(self) -> str:
        async with asyncio.timeout(SAFETY):
            await self.event.wait()
        return self.why


async def _passed(seconds: float) -> None:
    """Waits until a timer of the loop that was set for so long before has gone off."""
    await asyncio.sleep(5 * seconds)


async def test_an_answer_that_does_not_come_is_late() -> None:
    late = _Late()
    AnswerTimer(late).after(SOON)
    assert await late.wait() == "no answer within 0.01 seconds"


async def test_the_time_of_an_answered_request_says_nothing_about_the_next() -> None:
    late = _Late()
    timer = AnswerTimer(late)
    timer.after(SOON)
    timer.after(None)
    timer.after(LONG)
    await _passed(SOON)
    assert not late.event.is_set()
    timer.after(SOON)
    assert await late.wait() == "no answer within 0.01 seconds"
    timer.close()


async def test_a_timer_that_went_off_without_a_request_serves_the_next() -> None:
    late = _Late()
    timer = AnswerTimer(late)
    timer.after(SOON)
    timer.after(None)
    await _passed(SOON)
    timer.after(SOON)
    await late.wait()


async def test_a_shorter_time_after_a_longer_one_holds() -> None:
    late = _Late()
    timer = AnswerTimer(late)
    timer.after(LONG)
    timer.after(None)
    timer.after(SOON)
    await late.wait()


async def test_a_request_that_has_more_time_than_the_one_before_gets_it() -> None:
    late = _Late()
    timer = AnswerTimer(late)
    timer.after(SOON)
    timer.after(None)
    timer.after(2 * SOON)
    assert await late.wait() == "no answer within 0.02 seconds"


async def test_a_closed_timer_calls_nobody() -> None:
    late = _Late()
    timer = AnswerTimer(late)
    timer.after(SOON)
    timer.close()
    await _passed(SOON)
    assert not late.event.is_set()
