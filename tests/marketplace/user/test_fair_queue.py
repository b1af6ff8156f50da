"""A flood of logins from one address does not hold up anybody else."""

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.user.adapters.argon2_passwords import AT_ONCE, LONGEST_QUEUE, Argon2Passwords
from marketplace.user.adapters.fair_queue import FairQueue
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import DomainError

FLOOD, HONEST = "203.0.113.9", "192.0.2.1"


class Gate:
    """Passwords whose hashing is noted in its order and let through one by one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
        self.passwords = Argon2Passwords(memory_kib=8, passes=1, **more)
        self.served: list[str] = []
        self._permits = threading.Semaphore(0)
        monkeypatch.setattr(self.passwords, "_fits", self._fits)

    def _fits(self, password_hash: str, password: str) -> bool:
        self._permits.acquire(timeout=10)
        self.served.append(password)
        return True

    def let(self, number: int) -> None:
        self._permits.release(number)

    def ask(self, address: str, password: str) -> "asyncio.Task[bool]":
        with use(CallContext(caller=Caller(address=address))):
            return asyncio.create_task(self.passwords.verify("hash", password))


async def ended(tasks: list["asyncio.Task[bool]"]) -> list[object]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_the_honest_are_next_whatever_others_send(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    flood = [gate.ask(FLOOD, f"flood {number}") for number in range(1_000)]
    await asyncio.sleep(0)
    honest = [gate.ask(HONEST, f"honest {number}") for number in range(3)]
    await asyncio.sleep(0)
    gate.let(1_000)
    assert await ended(honest) == [True] * 3, "nobody else's flood turns them away"
    # Two run at once, so the note of one may come behind that of its neighbour; turns alternate.
    places = [gate.served.index(f"honest {number}") for number in range(3)]
    assert max(places) <= AT_ONCE + 2 * 3 + 1, gate.served[:12]
    outcomes = await ended(flood)
    refused = [one for one in outcomes if isinstance(one, DomainError)]
    assert len(refused) == 1_000 - AT_ONCE - LONGEST_QUEUE + 3
    assert {(one.reason, one.retry_after) for one in refused} == {("TOO_MANY_ATTEMPTS", 2.0)}


async def test_who_waited_too_long_is_told_to_come_again_and_not_worked_off(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, longest_wait=0.05)
    running = [gate.ask(FLOOD, f"running {number}") for number in range(AT_ONCE)]
    await asyncio.sleep(0)
    late = [gate.ask(FLOOD, f"late {number}") for number in range(20)]
    refused = await ended(late)
    assert all(isinstance(one, DomainError) and one.retry_after for one in refused)
    gate.let(100)
    assert await ended(running) == [True] * AT_ONCE
    assert await gate.ask(HONEST, "after") is True
    assert sorted(gate.served) == ["after", "running 0", "running 1"]


async def test_who_goes_away_leaves_his_turn_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    running = [gate.ask(FLOOD, f"running {number}") for number in range(AT_ONCE)]
    await asyncio.sleep(0)
    gone = [gate.ask(FLOOD, f"gone {number}") for number in range(10)]
    stays = gate.ask(HONEST, "stays")
    await asyncio.sleep(0)
    for task in (*gone, running[0]):
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    gate.let(100)
    assert await stays is True
    for number in range(10):
        assert await gate.ask(HONEST, f"again {number}") is True, "no place was lost"
    assert not [password for password in gate.served if password.startswith("gone")]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60), st.integers(1, 6))
def test_nothing_is_lost_and_turns_are_taken(steps: list[tuple[bool, str]], most: int) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue(most)
    waiting: list[tuple[str, int]] = []
    for number, (comes, client) in enumerate(steps):
        if comes:
            waiting.append((client, number))
            lost = queue.add(client, (client, number))
            if lost is not None:
                lines = [sum(one[0] == name for one in waiting) for name in "abc"]
                assert sum(one[0] == lost[0] for one in waiting) == max(lines), "of the longest line"
                waiting.remove(lost)
        else:
            served = queue.next()
            assert (served is None) == (not waiting)
            if served is not None:
                assert served == next(one for one in waiting if one[0] == served[0]), "in order within a line"
                waiting.remove(served)
        assert len(queue) == len(waiting) <= most
