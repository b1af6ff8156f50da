"""Signing keys: published before they sign, and until their last token has ended."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.signing import Schedule, SigningKey, forgettable, next_start, signing_key
from marketplace.user.service import build, service
from marketplace.user.servicer import UserServicer
from marketplace.user.settings import read_settings
from souk.kernel.errors import ConfigurationError
from souk.runtime.service import ServiceParts
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, service_host

CONTEXT: Any = CallRecord()
HOUR = 3_600
MONTH = 30 * 24 * HOUR


async def keep_house(parts: ServiceParts) -> None:
    """Runs one round of the background task, which then sleeps."""
    (work,) = parts.tasks.values()
    round_and_sleep: Any = work()
    task = asyncio.create_task(round_and_sleep)
    while getattr(round_and_sleep.cr_await, "__name__", "") != "sleep":
        assert not task.done()
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def published(user: UserServicer) -> list[str]:
    return [key.kid for key in (await user.ListSigningKeys(pb.ListSigningKeysRequest(), CONTEXT)).keys]


async def signs(user: UserServicer) -> str:
    request = pb.CreateTokenRequest(email="mina@example.com", password="correct horse")
    token = await user.CreateToken(request, CONTEXT)
    header: dict[str, str] = jws.extract_compact(token.access_token.encode()).headers()
    return header["kid"]


async def test_a_key_goes_through_its_life(
    user: UserServicer, parts: ServiceParts, mina: pb.User, clock: FakeClock
) -> None:
    (old,) = await published(user)
    assert await signs(user) == old
    await keep_house(parts)
    assert await published(user) == [old]

    clock.advance(MONTH - HOUR)
    await keep_house(parts)
    clock.advance(30)
    both = await published(user)
    assert both[0] == old
    assert len(both) == 2
    assert await signs(user) == old

    clock.advance(HOUR)
    assert await signs(user) == both[1]
    await keep_house(parts)
    assert await published(user) == both

    clock.advance(20 * 60)
    await keep_house(parts)
    clock.advance(30)
    assert await published(user) == both[1:]


async def test_a_key_whose_tokens_have_all_expired_leaves_the_memory(
    user: UserServicer, parts: ServiceParts, mina: pb.User, clock: FakeClock
) -> None:
    for _ in range(3):
        await keep_house(parts)
        await signs(user)
        clock.advance(MONTH)
        await keep_house(parts)
        await signs(user)
        clock.advance(2 * HOUR)
        await keep_house(parts)
        await keep_house(parts)
        clock.advance(30)
        kids = await published(user)
        assert len(kids) == 1
        assert set(user._deps.signer._parsed) == set(kids)


async def test_replicas_agree_on_the_first_key(tmp_path: Path, clock: FakeClock, passwords: Any) -> None:
    async with service_host(service, tmp_path, clock=clock) as host:
        servicers: list[Any] = [(await build(host, passwords)).servicer for _ in range(3)]
        kids = await asyncio.gather(*map(published, servicers))
    assert kids[0] == kids[1] == kids[2]


SCHEDULE = Schedule(lead=10, lifetime=100, linger=20)


@given(st.lists(st.integers(1, 60), max_size=40))
def test_whoever_verifies_knows_every_key_in_time(steps: list[int]) -> None:
    """Rotates at odd times: a key signs only after its lead, and stays until its tokens have ended."""
    now, keys, signed_at, made_at = 0, list[SigningKey](), dict[str, int](), dict[str, int]()
    for number, step in enumerate([0, *steps]):
        now += step
        start = next_start(keys, now, SCHEDULE)
        gone = forgettable(keys, now, SCHEDULE)
        if start is not None:
            keys.append(SigningKey(f"k{number}", "", start))
            made_at[f"k{number}"] = now
        keys = [key for key in keys if key not in gone]
        for key in gone:
            assert now - signed_at.get(key.kid, 0) >= SCHEDULE.linger
        current = signing_key(keys, now)
        signed_at[current.kid] = now
        assert current.kid == "k0" or now - made_at[current.kid] >= SCHEDULE.lead
        assert len(keys) <= 3


@pytest.mark.parametrize(
    "values",
    [
        {"access_token_seconds": "0"},
        {"access_token_seconds": "abc"},
        {"access_token_seconds": "9" * 30},
        {"signing_key_lead_seconds": "1"},
        {"signing_key_lead_seconds": "7200", "signing_key_hours": "1"},
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        read_settings(values)
