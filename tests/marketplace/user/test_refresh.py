"""Refresh tokens: rotation, the grace of ten seconds, and the end of a family."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.refresh import Verdict, decide, open_family, parse
from marketplace.user.service import build, service
from marketplace.user.servicer import UserServicer
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import DomainError
from souk.runtime.service import ServiceContext
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, service_host

CONTEXT: Any = CallRecord()
LOGIN = pb.CreateTokenRequest(email="mina@example.com", password="correct horse")


async def refresh(user: UserServicer, token: str) -> str:
    return (await user.CreateToken(pb.CreateTokenRequest(refresh_token=token), CONTEXT)).refresh_token


async def refused(user: UserServicer, token: str) -> bool:
    try:
        await refresh(user, token)
    except DomainError as error:
        return error.reason == "BAD_CREDENTIALS"
    return False


@pytest.fixture
async def first(user: UserServicer, mina: pb.User) -> str:
    return (await user.CreateToken(LOGIN, CONTEXT)).refresh_token


async def test_each_token_makes_the_next(user: UserServicer, first: str, clock: FakeClock) -> None:
    tokens = [first]
    for _ in range(5):
        clock.advance(60)
        tokens.append(await refresh(user, tokens[-1]))
    assert len(set(tokens)) == 6


async def test_a_token_from_before_it_had_a_prefix_is_taken(user: UserServicer, first: str) -> None:
    family, secret = first.removeprefix("souk_refresh_")[:30], first[-43:]
    assert first == f"souk_refresh_{family}_{secret}"
    second = await refresh(user, f"{family}.{secret}")
    assert second.startswith(f"souk_refresh_{family}_")
    for wrong in (f"souk_refresh_{family}.{second[-43:]}", f"{family}_{second[-43:]}"):
        assert await refused(user, wrong)
    assert await refresh(user, second) != second


async def test_the_previous_one_gives_the_same_successor_for_ten_seconds(
    user: UserServicer, first: str, clock: FakeClock
) -> None:
    second = await refresh(user, first)
    clock.advance(10)
    assert await refresh(user, first) == second
    assert await refresh(user, second) != second


async def test_later_reuse_ends_the_family(user: UserServicer, first: str, clock: FakeClock) -> None:
    second = await refresh(user, first)
    clock.advance(10.001)
    assert await refused(user, first)
    assert await refused(user, second)


async def test_an_older_token_ends_the_family_even_within_ten_seconds(user: UserServicer, first: str) -> None:
    third = await refresh(user, await refresh(user, first))
    assert await refused(user, first)
    assert await refused(user, third)


async def test_other_families_live_on(user: UserServicer, first: str, clock: FakeClock) -> None:
    other = (await user.CreateToken(LOGIN, CONTEXT)).refresh_token
    await refresh(user, first)
    clock.advance(11)
    assert await refused(user, first)
    assert not await refused(user, other)


async def test_tabs_that_race_get_one_successor(user: UserServicer, first: str) -> None:
    successors = await asyncio.gather(*(refresh(user, first) for _ in range(8)))
    assert len(set(successors)) == 1


async def test_the_grace_survives_a_restart(tmp_path: Path, clock: FakeClock, passwords: Any) -> None:
    successors = []
    token = ""
    for start in range(2):
        async with service_host(service, tmp_path, clock=clock) as host:
            user: Any = (await build(host, passwords)).servicer
            if start == 0:
                new = pb.CreateUserRequest(email=LOGIN.email, password=LOGIN.password, name="M")
                await user.CreateUser(new, CONTEXT)
                token = (await user.CreateToken(LOGIN, CONTEXT)).refresh_token
            successors.append(await refresh(user, token))
    assert successors[0] == successors[1]


async def test_logout_ends_the_family_by_any_of_its_tokens(
    user: UserServicer, first: str, mina: pb.User, acting: Any
) -> None:
    second = await refresh(user, first)
    with acting("U-other"):
        await user.Logout(pb.LogoutRequest(refresh_token=first), CONTEXT)
    third = await refresh(user, second)
    with acting(mina.id):
        await user.Logout(pb.LogoutRequest(refresh_token=first), CONTEXT)
        await user.Logout(pb.LogoutRequest(refresh_token=first), CONTEXT)
        await user.Logout(pb.LogoutRequest(refresh_token="garbage"), CONTEXT)
    assert await refused(user, third)


async def test_a_family_that_is_not_used_ends(user: UserServicer, first: str, clock: FakeClock) -> None:
    clock.advance(29 * 86_400)
    second = await refresh(user, first)
    clock.advance(30 * 86_400)
    assert await refused(user, second)


async def test_only_digests_are_stored(user: UserServicer, first: str, host: ServiceContext) -> None:
    second = await refresh(user, first)
    (row,) = await host.database.read(lambda tx: tx.fetch("SELECT * FROM refresh_families"))
    for token in (first, second):
        presented = parse(token)
        assert presented is not None
        columns = ("family_key", "current_digest", "previous_digest")
        assert all(presented.secret != row[column] for column in columns)


@pytest.mark.parametrize("token", ["", "x", "RTF-00000000000000000000000000." + "A" * 43, "RTF-x.y", "nul \0"])
async def test_garbage_is_refused(user: UserServicer, token: str) -> None:
    assert await refused(user, token)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), max_size=30))
def test_a_family_lives_exactly_as_long_as_nobody_reuses_late(steps: list[tuple[int, int]]) -> None:
    """Presents some token of the last five after some seconds, against a model of the rule."""
    clock = FakeClock()
    family, token = open_family("U", clock, 10**15)
    tokens, rotated_at = [token], clock.now()
    for age, seconds in steps:
        clock.advance(seconds)
        chosen = tokens[-1 - min(age, len(tokens) - 1)]
        presented = parse(chosen)
        assert presented is not None
        decision = decide(family, presented, clock.now(), 10**15)
        if chosen == tokens[-1]:
            assert decision.verdict is Verdict.ROTATED
            tokens.append(decision.token)
            rotated_at = clock.now()
        elif chosen == tokens[-2] and clock.now() - rotated_at <= 10 * MICROSECONDS:
            assert decision.verdict is Verdict.REPEATED
            assert decision.token == tokens[-1]
        else:
            assert (decision.verdict, decision.family) == (Verdict.REUSED, None)
            return
        assert decision.family is not None
        family = decision.family
