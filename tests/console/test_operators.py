"""Who is an operator while nobody can be asked for roles: only who was one a moment ago, by the same login."""

from typing import Any, cast

import pytest

from souk.console.operators import REMEMBERED, Operators
from souk.gateway.auth.cookies import ACCESS
from souk.gateway.auth.identity import Identity
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.kernel.context import Caller
from souk.testing.clocks import FakeClock


class FakeIdentity:
    """Knows tokens that read SUBJECT/SESSION; `status` is that of the service of roles, 200 for an operator."""

    def __init__(self) -> None:
        self.status = 200

    async def of_token(self, token: str) -> Caller:
        if token == "old":
            raise Problem(401, "UNAUTHENTICATED", "the token has expired")
        subject, _, session = token.partition("/")
        return Caller(service="gateway", subject=subject, session=session)

    async def authorise(self, request: Any, rule: Any, traceparent: str) -> Caller:
        if self.status != 200:
            raise Problem(self.status, "SOMETHING", "as the test wants it")
        return await self.of_token(request.token)


class FakeRequest:
    method, traceparent, subject = "GET", "", ""

    def __init__(self, token: str) -> None:
        self.token = token

    def header(self, name: bytes) -> str:
        return f"{ACCESS}={self.token}" if name == b"cookie" else ""


@pytest.fixture
def identity() -> FakeIdentity:
    return FakeIdentity()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def operators(identity: FakeIdentity, clock: FakeClock) -> Operators:
    return Operators(cast("Identity", identity), None, "admin", b"k" * 32, clock)


async def status(operators: Operators, token: str = "ann/1") -> int:
    try:
        operator, _ = await operators.recognised(cast("Request", FakeRequest(token)))
    except Problem as problem:
        return problem.status
    assert operator.subject == token.partition("/")[0]
    return 200


@pytest.mark.parametrize("away", [502, 503, 504])
async def test_an_operator_stays_one_for_a_time_while_roles_cannot_be_asked_for(
    operators: Operators, identity: FakeIdentity, clock: FakeClock, away: int
) -> None:
    assert await status(operators) == 200
    identity.status = away
    assert await status(operators) == 200
    assert await operators.still_there(cast("Request", FakeRequest("ann/1"))), "a stream goes on as pages do"
    assert not await operators.still_there(cast("Request", FakeRequest("ann/2")))
    assert await status(operators, "ann/2") == away, "another login of the same user"
    assert await status(operators, "bob/1") == away
    assert await status(operators, "old") == 401, "the token must still be good"
    clock.advance(REMEMBERED + 1)
    assert await status(operators) == away


async def test_who_has_lost_the_role_is_not_remembered(operators: Operators, identity: FakeIdentity) -> None:
    assert await status(operators) == 200
    identity.status = 403
    assert await status(operators) == 403
    identity.status = 503
    assert await status(operators) == 503
