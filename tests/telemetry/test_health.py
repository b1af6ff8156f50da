"""What a process knows of its own health."""

import asyncio

import pytest

from souk.telemetry import health as module
from souk.telemetry.health import Health
from souk.testing.clocks import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> Health:
    return Health(clock)


def only(health: Health) -> module.Check:
    (check,) = health.checks()
    return check


def test_since_moves_only_when_it_becomes_well_or_stops_being_so(health: Health, clock: FakeClock) -> None:
    began = clock.now()
    health.report("disk")
    clock.advance(1)
    health.report("disk")
    assert (only(health).well, only(health).since) == (True, began)
    health.report("disk", "full")
    fell = clock.now()
    clock.advance(1)
    health.report("disk", "fuller")
    assert (only(health).well, only(health).since, only(health).detail) == (False, fell, "fuller")
    health.report("disk")
    assert (only(health).well, only(health).since) == (True, clock.now())


def test_only_what_blocks_makes_a_process_not_ready(health: Health) -> None:
    health.report("payment", "away")
    assert health.ready
    health.report("clock", "42 s off", blocks=True)
    assert not health.ready
    health.report("clock", blocks=True)
    assert health.ready


async def test_a_probe_tells_by_its_answer_or_by_what_it_raises(health: Health) -> None:
    answers: list[str | Exception] = ["", "away", OSError("refused\nand more"), ValueError(), ""]

    async def probe() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    health.watch("database", probe)
    found = []
    while answers:
        await health.check_all()
        found.append(only(health).detail)
    assert found == ["", "away", "refused", "ValueError", ""]


async def test_a_probe_that_hangs_holds_up_no_other(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    async def hangs() -> str:
        await asyncio.Event().wait()
        return ""

    async def answers() -> str:
        return "away"

    health.watch("hangs", hangs)
    health.watch("answers", answers)
    await health.check_all()
    assert [check.detail for check in health.checks()] == ["no answer within 0.01 s", "away"]
