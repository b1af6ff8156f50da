"""How an instance leaves: callers who learn of it late are still served."""

from collections.abc import Iterator
from itertools import count
from typing import cast

import pytest

from souk.discovery.static import StaticRegistry
from souk.runtime.calls import registration
from souk.runtime.config.settings import DiscoverySettings
from souk.telemetry.traffic import Traffic

pytestmark = pytest.mark.asyncio


class CountedCalls:
    """Says each time that it is asked how many calls have begun by then."""

    def __init__(self, counts: Iterator[int]) -> None:
        self._counts = counts

    @property
    def begun(self) -> int:
        return next(self._counts)


async def left(counts: Iterator[int], registry: str | None) -> None:
    """Has an instance register and leave, while calls come."""
    traffic, settings = cast(Traffic, CountedCalls(counts)), DiscoverySettings(registry=registry)
    address = "127.0.0.1:1"
    async with registration.present(StaticRegistry({}), "order", "order-1", address, settings, {}, traffic) as found:
        assert found.address == address


async def test_calls_are_taken_until_no_more_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "LEAVING", 0.0)
    counts = iter([7, 8, 9, 9, 10])
    await left(counts, "unix:/registry.sock")
    assert next(counts) == 10


async def test_callers_who_never_learn_of_it_do_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "LEAVING", 0.001)
    monkeypatch.setattr(registration, "LONGEST_LEAVING", 0.01)
    counts = count()
    await left(counts, "unix:/registry.sock")
    assert next(counts) > 0


async def test_without_a_registry_nobody_learns_of_it_and_nothing_is_awaited() -> None:
    counts = count()
    await left(counts, None)
    assert next(counts) == 0
