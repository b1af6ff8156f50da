"""Who calls, and whether they may: identifies callers by their credentials, and checks roles and scopes."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from souk.descriptors.contract import Access
from souk.gateway.auth.bearer import BearerTokens
from souk.gateway.auth.claims import Identified
from souk.gateway.http.problem import forbidden, unauthenticated
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.context import Caller

ANONYMOUS = Caller(service=GATEWAY_SERVICE)

RolesOf = Callable[[str, str], Awaitable[frozenset[str]]]
"""Returns the present roles of a user; the second argument is the traceparent. Raises Problem if it cannot."""


class Issuer(Protocol):
    """The issuer and the audience of tokens, and the full names of the methods that return keys and roles."""

    @property
    def issuer(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def keys_method(self) -> str: ...
    @property
    def roles_method(self) -> str: ...


class AccessRule(Protocol):
    """Who may call: the policy of a contract's method, or what a route says of itself."""

    @property
    def access(self) -> Access: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def scopes(self) -> frozenset[str]: ...


class Identity:
    """Turns an Authorization header into a Caller, and checks what that caller may call."""

    def __init__(self, tokens: BearerTokens, roles_of: RolesOf) -> None:
        self._tokens, self._roles_of = tokens, roles_of

    async def authorise(self, authorization: str, rule: AccessRule, traceparent: str) -> Caller:
        """Returns the caller, if `rule` lets the caller in.

        Raises Problem 401 or 403, or the one of a service that could not be asked for keys or roles.
        """
        if rule.access is Access.ANYONE:
            return ANONYMOUS
        identified = await self._identified(authorization)
        caller = identified.caller
        if rule.roles:
            if identified.asked_roles:
                # Asked for at each call and not taken from the token: a user who loses a role loses it at once.
                caller = replace(caller, roles=await self._roles_of(caller.subject, traceparent))
            if not caller.roles & rule.roles:
                raise forbidden()
        if not rule.scopes <= caller.scopes:
            raise forbidden()
        return caller

    async def _identified(self, authorization: str) -> Identified:
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated()
        return await self._tokens.identified(token)
