"""When a process that died is started again."""

from random import Random

import pytest

from souk.supervisor.managed_process import BACKOFF, WELL, Restarts


def delays(*well_for: float) -> list[float]:
    restarts, chance = Restarts(), Random(1)
    return [restarts.died(seconds, chance) for seconds in well_for]


def test_a_crash_loop_is_slowed_down_to_ten_seconds() -> None:
    waits = delays(*[0.0] * 12)
    longest = [min(BACKOFF.cap, 0.1 * 2**number) for number in range(12)]
    assert all(0.8 * most <= wait <= most for wait, most in zip(waits, longest, strict=True))


def test_the_first_death_after_being_well_is_followed_at_once() -> None:
    assert delays(*[0.0] * 8, WELL)[-1] <= BACKOFF.initial


def test_a_short_life_is_not_being_well() -> None:
    waits = delays(0.0, 0.0, 0.0, WELL - 1)
    assert waits[-1] == pytest.approx(0.8, rel=0.2)


def test_deaths_are_counted_for_ever() -> None:
    restarts = Restarts()
    for well_for in (0.0, WELL, 0.0):
        restarts.died(well_for, Random(1))
    assert (restarts.count, restarts.in_a_row) == (3, 2)
