"""Whom an application behind the gateway learns of: the caller of good credentials, with the roles of now."""

from typing import Any

import pytest

from souk.descriptors.contract import Access, Policy
from souk.gateway.auth.claims import Identified
from souk.gateway.auth.identity import ANONYMOUS, Identity
from souk.gateway.http.problem import Problem, unauthenticated
from souk.kernel.context import Caller

USER = Caller("U-1", scopes=frozenset({"a.b"}), service="gateway")
ANYONE, CALLER = Policy(access=Access.ANYONE), Policy(access=Access.CALLER)
TRACE = ""


class Tokens:
    """Knows three tokens; others are not good."""

    async def identified(self, token: str) -> Identified:
        match token:
            case "user":
                return Identified(USER)
            case "scoped":
                return Identified(USER, scoped=True)
            case "other":
                return Identified(Caller("acme|7", frozenset({"buyer"})), asked_roles=False)
            case "unknown":
                raise Problem(503, "UNAVAILABLE", "the keys cannot be fetched")
        raise unauthenticated(invalid_token=True)


class Bearer:
    """A request with a token."""

    method = "GET"

    def __init__(self, token: str) -> None:
        self._token = token

    def header(self, name: bytes) -> str:
        return f"Bearer {self._token}" if name == b"authorization" and self._token else ""


async def roles_of(user: str, traceparent: str) -> frozenset[str]:
    return frozenset({"admin"})


async def known(token: str, policy: Policy = ANYONE, *, passed_on: bool = True) -> Caller:
    identity = Identity(Tokens(), roles_of)  # type: ignore[arg-type]
    request: Any = Bearer(token)
    return await identity.authorise(request, policy, TRACE, passed_on=passed_on)


async def test_where_anyone_may_call_good_credentials_are_known() -> None:
    found = await known("user")
    assert found.subject == "U-1"
    assert (found.roles, found.scopes) == (frozenset({"admin"}), frozenset({"a.b"}))
    assert (await known("other")).roles == {"buyer"}
    assert (await known("user", CALLER)).roles == {"admin"}


@pytest.mark.parametrize("token", ["", "the application's own", "scoped"])
async def test_others_are_nobody(token: str) -> None:
    assert await known(token) is ANONYMOUS


async def test_a_caller_who_cannot_be_identified_now_is_not_taken_for_nobody() -> None:
    with pytest.raises(Problem) as refused:
        await known("unknown")
    assert refused.value.status == 503


async def test_without_an_application_nobody_is_asked_who_calls() -> None:
    assert await known("user", passed_on=False) is ANONYMOUS


async def test_a_scoped_caller_may_not_call_where_no_scope_is_named() -> None:
    with pytest.raises(Problem) as refused:
        await known("scoped", CALLER)
    assert refused.value.status == 403
