"""The database's clock, as a process goes on from what it was told."""

import pytest

from souk.kernel.clock import MICROSECONDS
from souk.store.database import Dialect
from souk.store.database_clock import DatabaseClock
from souk.testing.clocks import FakeClock

HOUR = 3_600.0


class Server:
    """A database whose time is `date` when the question arrives, `there` seconds after it was sent; the answer
    takes `back`."""

    dialect = Dialect("fake", "", "", "now", "", "")

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.ahead, self.there, self.back = clock, 0.0, 0.0, 0.0
        self._start = clock.now() - round(clock.monotonic() * MICROSECONDS)

    @property
    def date(self) -> int:
        return self._start + round((self.clock.monotonic() + self.ahead) * MICROSECONDS)

    async def read(self, work, *, single):
        assert single
        return await work(self)

    async def fetch_one(self, sql):
        self.clock.advance(self.there)
        found = self.date
        self.clock.advance(self.back)
        return {"now": found}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(clock)


def off(clock: DatabaseClock, server: Server) -> float:
    return abs(clock.now() - server.date) / MICROSECONDS


async def test_it_is_the_servers_whatever_the_machine_says(clock: FakeClock, server: Server) -> None:
    server.ahead = -HOUR
    found = DatabaseClock(clock, server)
    await found.ask()
    clock.advance(10.0)
    assert off(found, server) < 1e-3
    assert found.ahead == pytest.approx(HOUR)
    assert found.monotonic() == clock.monotonic()


async def test_half_of_the_round_trip_is_taken_off(clock: FakeClock, server: Server) -> None:
    server.there = server.back = 2.0
    found = DatabaseClock(clock, server)
    await found.ask()
    assert off(found, server) < 1e-3


async def test_a_slow_answer_does_not_displace_a_quick_one(clock: FakeClock, server: Server) -> None:
    found = DatabaseClock(clock, server)
    await found.ask()
    server.there = 8.0  # all of it one way: the middle is 4 s wrong
    await found.ask()
    assert off(found, server) < 1e-3
    clock.advance(61.0)  # by now the clocks may have drifted apart
    await found.ask()
    assert off(found, server) == pytest.approx(4.0)


async def test_a_server_whose_clock_was_set_is_followed_at_once(clock: FakeClock, server: Server) -> None:
    found = DatabaseClock(clock, server)
    await found.ask()
    server.there, server.ahead = 0.1, HOUR
    await found.ask()
    assert off(found, server) < 0.2
