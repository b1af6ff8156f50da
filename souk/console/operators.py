"""Who may use the console: those with the operators' role, as the API identifies callers.

By cookies a request that changes something needs two proofs: the browser's word that it comes from this origin
(`same_origin.py`), and the token of the form, a keyed digest of the login and of the time (OWASP, HMAC-based token).
A request with a bearer token needs neither, as no foreign page can send one.
"""

import hmac
from dataclasses import dataclass
from hashlib import blake2b

from souk.console.page import Operator
from souk.descriptors.contract import Access
from souk.gateway.auth.cookies import ACCESS, REFRESH, cookie
from souk.gateway.auth.identity import Identity
from souk.gateway.auth.same_origin import SAFE, require_same_origin
from souk.gateway.http.answers import Headers
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.session_endpoints import SessionEndpoints
from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.context import Caller

UNKNOWN = 401
MOST_DIGITS = 12
LIFETIME = 12 * 3_600
"""Seconds for which the forms of a page can be sent."""
REMEMBERED = 600.0
"""Seconds for which who was an operator stays one while nobody can be asked for roles."""
_AWAY = frozenset({502, 503, 504})
_MOST_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class ConsoleAccess:
    """The rule that lets operators in: callers with this role. Callers who may call only what scopes name may not."""

    roles: frozenset[str]
    access: Access = Access.CALLER
    scopes: frozenset[str] = frozenset()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class _Renewed:
    """A request whose login was renewed: it is judged by the new access token."""

    token: str
    method: str = "GET"
    certificate: tuple[str, str] = ("", "")

    def header(self, name: bytes) -> str:
        return f"Bearer {self.token}" if name == b"authorization" else ""


class Operators:
    """Recognises operators. `sessions` None means that this system has no login by password; `secret` makes proofs."""

    def __init__(
        self, identity: Identity, sessions: SessionEndpoints | None, role: str, secret: bytes, clock: Clock
    ) -> None:
        self.sessions = sessions
        self._identity, self._rule, self._clock = identity, ConsoleAccess(frozenset({role})), clock
        self._known: dict[str, float] = {}
        self._key = blake2b(b"forms of the console", key=secret[:64], digest_size=32).digest()

    async def recognised(self, request: Request) -> tuple[Operator, Headers]:
        """Returns the operator, and the headers of a login that was renewed meanwhile.

        Raises Problem: 401 for nobody, 403 for somebody without the role or from a foreign page.
        """
        if request.header(b"authorization") or request.header(b"x-api-key"):
            caller = await self._identity.authorise(request, self._rule, request.traceparent)
            request.subject = caller.subject
            return Operator(caller.subject), []
        if request.method not in SAFE:
            require_same_origin(request)
        caller, cookies = await self._by_cookies(request)
        request.subject = caller.subject
        login = _login(caller)
        return Operator(caller.subject, login, self._proof(login, self._clock.now() // MICROSECONDS)), cookies

    async def login_of(self, request: Request) -> str:
        """Names the login of a request by cookies; empty for none, or one that has ended."""
        try:
            return _login(await self._by_access_token(request))
        except Problem:
            return ""

    async def still_there(self, request: Request) -> bool:
        """Tells whether the operator of a request, which is being answered for long, may still be answered.

        An access token that has ended says no: nobody renews it here, where the browser could not be told.
        """
        try:
            await self._by_access_token(request)
        except Problem:
            return False
        return True

    def require_proof(self, operator: Operator, given: str) -> None:
        """Raises Problem 403 unless what a form sent was made for this login, and not too long ago."""
        if not operator.login:
            return
        made, _, _ = given.partition(".")
        at = int(made) if made.isascii() and made.isdigit() and len(made) <= MOST_DIGITS else -LIFETIME
        fresh = 0 <= self._clock.now() // MICROSECONDS - at <= LIFETIME
        if not fresh or not hmac.compare_digest(given.encode(), self._proof(operator.login, at).encode()):
            detail = "the form was not made for this login, or is too old: load the page again"
            raise Problem(403, "CROSS_SITE", detail, why="form without proof", who=operator.subject)

    async def _by_cookies(self, request: Request) -> tuple[Caller, Headers]:
        """Identifies by the access token; once that has ended, by the next one for the refresh token."""
        try:
            return await self._by_access_token(request), []
        except Problem as problem:
            if problem.status != UNKNOWN or self.sessions is None or not cookie(request.header(b"cookie"), REFRESH):
                raise
        token, cookies = await self.sessions.renew(request)
        try:
            return await self._identity.authorise(_Renewed(token), self._rule, request.traceparent), cookies
        except Problem as problem:
            raise with_cookies(problem, cookies) from None

    async def _by_access_token(self, request: Request) -> Caller:
        """Identifies by the access token; who was an operator within REMEMBERED seconds, by the same login, still is
        one while the roles cannot be asked for: somebody must be able to see what is wrong, and to undo it."""
        try:
            caller = await self._identity.authorise(request, self._rule, request.traceparent)
        except Problem as problem:
            token = cookie(request.header(b"cookie"), ACCESS)
            if problem.status == UNKNOWN or not token:
                raise
            caller = await self._identity.of_token(token)
            if problem.status not in _AWAY:
                self._known.pop(_login(caller), None)
                raise problem from None
            if self._clock.monotonic() - self._known.get(_login(caller), float("-inf")) > REMEMBERED:
                raise problem from None
            return caller
        self._known.pop(_login(caller), None)
        self._known[_login(caller)] = self._clock.monotonic()
        if len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        return caller

    def _proof(self, login: str, at: int) -> str:
        return f"{at}.{blake2b(f'{at} {login}'.encode(), key=self._key, digest_size=24).hexdigest()}"


def _login(caller: Caller) -> str:
    return f"{caller.subject}/{caller.session}"


def with_cookies(problem: Problem, cookies: Headers) -> Problem:
    """Adds the cookies of a renewed login to a failure: the browser's old refresh token is used up."""
    problem.headers = (*problem.headers, *cookies)
    return problem
