"""Who calls, and whether they may: identifies callers by their credentials, and checks roles and scopes."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from souk.descriptors.contract import Access
from souk.gateway.auth.api_keys import PREFIX, ApiKeys
from souk.gateway.auth.bearer import BearerTokens
from souk.gateway.auth.claims import Identified
from souk.gateway.auth.client_certificates import ClientCertificates
from souk.gateway.auth.cookies import ACCESS, cookie
from souk.gateway.auth.same_origin import SAFE, BrowserRequest, require_same_origin
from souk.gateway.http.problem import Problem, forbidden, unauthenticated
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.context import Caller

ANONYMOUS = Caller(service=GATEWAY_SERVICE)
_REFUSALS = frozenset({401, 403})

RolesOf = Callable[[str, str], Awaitable[frozenset[str]]]
"""Returns the present roles of a user; the second argument is the traceparent. Raises Problem if it cannot."""


class Issuer(Protocol):
    """The issuer and the audience of tokens, and the full names of the methods that return keys and roles.

    `api_keys_method` returns whose an API key is, and `client_tokens_method` an access token for one; if one is empty,
    there are none. `login_method` and `logout_method` begin and end the sessions of browsers; without them there are no
    cookies.
    """

    @property
    def issuer(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def keys_method(self) -> str: ...
    @property
    def roles_method(self) -> str: ...
    @property
    def api_keys_method(self) -> str: ...
    @property
    def client_tokens_method(self) -> str: ...
    @property
    def login_method(self) -> str: ...
    @property
    def logout_method(self) -> str: ...


class AccessRule(Protocol):
    """Who may call: the policy of a contract's method, or what a route says of itself.

    All callers need one of the `roles`, if there are any, and all `scopes`. A caller who may call only what scopes name
    needs `scope` as well; if that is empty, there must be `scopes`, else no such caller may call.
    """

    @property
    def access(self) -> Access: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def scopes(self) -> frozenset[str]: ...
    @property
    def scope(self) -> str: ...


class Identity:
    """Turns the credentials of a request into a Caller, and checks what that caller may call."""

    def __init__(
        self,
        tokens: BearerTokens,
        roles_of: RolesOf,
        api_keys: ApiKeys | None = None,
        certificates: ClientCertificates | None = None,
        *,
        cookies: bool = False,
    ) -> None:
        self._tokens, self._roles_of, self._api_keys, self._cookies = tokens, roles_of, api_keys, cookies
        self.certificates = certificates

    async def authorise(
        self, request: BrowserRequest, rule: AccessRule, traceparent: str, *, passed_on: bool = False
    ) -> Caller:
        """Returns the caller, if `rule` lets the caller in.

        `passed_on` says that an application is to learn who calls, with the present roles: also where anyone may call.
        Raises Problem 401 or 403, or the one of a service that could not be asked for keys or roles.
        """
        if rule.access is Access.ANYONE:
            return await self._recognised(request, traceparent) if passed_on else ANONYMOUS
        identified = await self._identified(request)
        caller = identified.caller
        if identified.scoped and not _names(caller.scopes, rule):
            raise forbidden("scope", _called(caller))
        if rule.roles or passed_on:
            caller = await self._with_roles(identified, traceparent)
        if rule.roles and not caller.roles & rule.roles:
            raise forbidden("role", _called(caller))
        if not rule.scopes <= caller.scopes:
            raise forbidden("scope", _called(caller))
        return caller

    async def _recognised(self, request: BrowserRequest, traceparent: str) -> Caller:
        """Returns the caller of good credentials, else nobody: what else is in the request may be the application's.

        A caller who may call only what scopes name is nobody: no scope is named here.
        """
        try:
            identified = await self._identified(request)
        except Problem as problem:
            if problem.status in _REFUSALS:
                return ANONYMOUS
            raise
        return ANONYMOUS if identified.scoped else await self._with_roles(identified, traceparent)

    async def _with_roles(self, identified: Identified, traceparent: str) -> Caller:
        caller = identified.caller
        if not identified.asked_roles:
            return caller
        # Asked for at each call and not taken from the token: a user who loses a role loses it at once.
        return replace(caller, roles=await self._roles_of(caller.subject, traceparent))

    async def _identified(self, request: BrowserRequest) -> Identified:
        authorization, key = request.header(b"authorization"), request.header(b"x-api-key")
        if key:
            if authorization:
                raise unauthenticated("send an API key or a bearer token, and not both", why="two credentials")
            return await self._by_key(key)
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if not authorization and self._cookies and (token := cookie(request.header(b"cookie"), ACCESS)):
            if request.method not in SAFE:
                require_same_origin(request)
            return await self._tokens.identified(token)
        if not authorization and self.certificates is not None:
            found = self.certificates.identified(request)
            if found is not None:
                return found
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated()
        if token.startswith(PREFIX):
            return await self._by_key(token)
        return await self._tokens.identified(token)

    async def of_token(self, token: str) -> Caller:
        """Returns the caller of an access token. Raises Problem 401, or another one if the keys cannot be fetched."""
        return (await self._tokens.identified(token)).caller

    async def _by_key(self, key: str) -> Identified:
        if self._api_keys is None:
            raise unauthenticated("there are no API keys here", invalid_token=True, why="API key")
        return await self._api_keys.identified(key)


def _called(caller: Caller) -> str:
    return f"{caller.subject} by API key {caller.api_key}" if caller.api_key else caller.subject


def _names(scopes: frozenset[str], rule: AccessRule) -> bool:
    return rule.scope in scopes if rule.scope else bool(rule.scopes)
