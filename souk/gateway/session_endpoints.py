"""The session of a browser: logging in, going on and logging out with cookies, in place of tokens that a script keeps.

    POST   /session            email and password; sets the cookies
    POST   /session:refresh    the next pair of tokens, for the refresh token of the cookie
    DELETE /session            logs out, and deletes the cookies

Each needs proof that it comes from a page of this origin, logging in as well: a foreign page must not be able to have
somebody work in its own account.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message

from souk.descriptors.contract import Method
from souk.descriptors.http_rule import HttpRule
from souk.gateway.admission import EdgeAdmission
from souk.gateway.auth.cookies import ACCESS, REFRESH, cleared, cookie, opened
from souk.gateway.auth.identity import ANONYMOUS, Identity, Issuer
from souk.gateway.auth.same_origin import require_same_origin
from souk.gateway.backend import Backend
from souk.gateway.endpoint import Handle, Pipeline
from souk.gateway.http.answers import Answer, Headers, HttpAnswer
from souk.gateway.http.problem import Problem, unauthenticated
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import RateLimits
from souk.gateway.transcoding.transcoder import Transcoder
from souk.kernel.clock import Clock
from souk.kernel.context import CallContext, Caller

SESSION_PATH, REFRESH_PATH = "/session", "/session:refresh"
_NO_STORE = (b"cache-control", b"no-store")


def cookie_login(method: Method) -> Transcoder:
    """Makes the transcoder of a login whose answer sets cookies and shows no token."""
    transcoder = Transcoder(method, HttpRule("POST", SESSION_PATH, "*"))
    transcoder.answer = _logged_in
    return transcoder


def _logged_in(reply: Message, besides: Sequence[tuple[bytes, bytes]] = ()) -> HttpAnswer:
    token: Any = reply  # it has an access token, a refresh token, and the lifetime of the first
    return HttpAnswer(204, [_NO_STORE, *opened(token.access_token, token.refresh_token, token.expires_in)])


@dataclass(frozen=True, slots=True)
class SessionEndpoints:
    """The endpoints of a session. `login` is the pipeline of the issuer's login, `logout` its method to log out."""

    login: Pipeline
    logout: Method

    @property
    def routes(self) -> tuple[tuple[str, str, Handle], ...]:
        """The endpoints, each with its method and its path."""
        return (
            ("POST", SESSION_PATH, self.open),
            ("DELETE", SESSION_PATH, self.close),
            ("POST", REFRESH_PATH, self.refresh),
        )

    async def log_in(self, request: Request, email: str, password: str) -> Headers:
        """Logs in with what a form was filled with; returns the headers that set the cookies. Raises Problem."""
        require_same_origin(request)
        admission, method = self.login.admission, self.login.transcoder.method
        caller = await admission.admit(request)
        message = method.input(email=email, password=password)
        await admission.admit_account(request, caller, message)
        token: Any = await self._call(method, message, request, caller)
        return opened(token.access_token, token.refresh_token, token.expires_in)

    async def renew(self, request: Request) -> tuple[str, Headers]:
        """Returns the next access token for the refresh token of the cookie, and the headers that set the cookies.

        Raises Problem.
        """
        token: Any = await self._next(request)
        return token.access_token, opened(token.access_token, token.refresh_token, token.expires_in)

    async def open(self, request: Request, captures: Sequence[str | None]) -> Answer:
        """Logs in. Raises Problem."""
        require_same_origin(request)
        return await self.login(request, captures)

    async def refresh(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Gives the next tokens; deletes the cookies if the login has ended. Raises Problem."""
        require_same_origin(request)
        try:
            return _logged_in(await self._next(request))
        except Problem as problem:
            if problem.status == 401:
                problem.headers = (*problem.headers, *cleared())
            raise

    async def close(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        """Logs out; a login that has ended already is no error. Raises Problem, and leaves the cookies for a retry."""
        require_same_origin(request)
        done: Headers = [_NO_STORE, *cleared()]
        refresh_token = cookie(request.header(b"cookie"), REFRESH)
        try:
            access = cookie(request.header(b"cookie"), ACCESS)
            caller = await self._caller(access) if access else None
            if caller is None:
                token: Any = await self._next(request)
                caller, refresh_token = await self._caller(token.access_token), token.refresh_token
        except Problem as problem:
            if problem.status == 401:
                return HttpAnswer(204, done)
            raise
        if caller is not None:
            request.subject = caller.subject
            message = self.logout.input(refresh_token=refresh_token)
            await self._call(self.logout, message, request, caller)
        return HttpAnswer(204, done)

    async def _caller(self, token: str) -> Caller | None:
        """Returns who an access token of a cookie stands for; None if it is not valid any more."""
        try:
            return await self.login.admission.identity.of_token(token)
        except Problem as problem:
            if problem.status == 401:
                return None
            raise

    async def _next(self, request: Request) -> Message:
        refresh_token = cookie(request.header(b"cookie"), REFRESH)
        if not refresh_token:
            raise unauthenticated("there is no session; log in", why="no credentials")
        await self.login.admission.admit(request)  # counted as a login is, by its sender
        method = self.login.transcoder.method
        return await self._call(method, method.input(refresh_token=refresh_token), request, ANONYMOUS)

    async def _call(self, method: Method, message: Message, request: Request, caller: Caller) -> Message:
        deadline = self.login.clock.monotonic() + method.policy.timeout
        caller = replace(caller, address=request.client)
        context = CallContext(deadline, caller, request.traceparent, one_try=True, releases=request.releases)
        reply, _ = await self.login.backend.call(method, message, context)
        return reply


def sessions_of(
    issuer: Issuer, backend: Backend, identity: Identity, limits: RateLimits | None, clock: Clock
) -> SessionEndpoints:
    """Makes the endpoints of sessions by the issuer's methods. Raises ConfigurationError."""
    login, logout = backend.method(issuer.login_method), backend.method(issuer.logout_method)
    admission = EdgeAdmission(login.policy, identity, None if limits is None else limits.of_method(login))
    return SessionEndpoints(Pipeline(cookie_login(login), admission, backend, clock), logout)
