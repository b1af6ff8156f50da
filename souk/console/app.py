"""The console as one handler of the gateway: read `ConsoleApp.handle` first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote

import orjson

from souk.console.assets import Assets
from souk.console.live import LiveOperator, LivePages
from souk.console.login import LOGIN, LOGOUT, form_of, log_in, log_out, next_path, redirect
from souk.console.operators import Operators, with_cookies
from souk.console.page import ConsolePage, Operator, PageRefused, PageRequest, ShownPage
from souk.console.rendering import Templates
from souk.gateway.http.answers import JSON, Answer, Headers, HttpAnswer
from souk.gateway.http.content_encoding import ENCODERS, chosen
from souk.gateway.http.problem import Problem, method_not_allowed, not_found
from souk.gateway.http.request import Request
from souk.gateway.settings import CONSOLE_PATH
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

ASSETS = "assets"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""What a page may do (CSP): nothing but use the console's own files and paths."""
_VARY = (b"vary", b"accept, accept-encoding")
_HTML: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    _VARY,
]
_NO_STORE = (b"cache-control", b"no-store")
_WORTH = 1_024
"""Octets from which on a page is compressed."""
_NOBODY = Operator("")
_READS = frozenset({"GET", "HEAD"})


class ConsoleApp:
    """Answers every request at /console and below it."""

    def __init__(
        self,
        pages: Sequence[ConsolePage],
        operators: Operators,
        templates: Templates,
        assets: Assets,
        clock: Clock,
        live: LivePages | None = None,
    ) -> None:
        self._pages, self._operators, self._templates = pages, operators, templates
        self._assets, self._clock = assets, clock
        self._live = live or LivePages(operators, clock)

    async def handle(self, request: Request, captures: Sequence[str | None]) -> Answer:
        """Answers with an asset, the login, or a page; a failure is a page in words, or a Problem for programs."""
        path = request.path[len(CONSOLE_PATH) :].strip("/")
        folder, _, name = path.partition("/")
        if folder == ASSETS:
            asset = self._assets.answer(name, request.header(b"accept-encoding"))
            if asset is None:
                raise not_found()
            return asset
        try:
            if path == LOGIN:
                return await self._log_in(request)
            if path == LOGOUT:
                return await self._log_out(request)
            return await self._page(request, path)
        except Problem as problem:
            if wants_json(request) or wants_events(request):
                raise
            request.refusal = problem
            return self._failure(request, problem)

    async def _log_in(self, request: Request) -> HttpAnswer:
        _require(request, "GET", "POST")
        if request.method == "POST":
            return await log_in(request, self._operators)
        return self._login_page(next_path(_query(request).get("next", [""])[0]), "", 200)

    async def _log_out(self, request: Request) -> HttpAnswer:
        _require(request, "POST")
        login = await self._operators.login_of(request)
        answer = await log_out(request, self._operators)
        if login:
            self._live.end(login)
        return answer

    async def _page(self, request: Request, path: str) -> Answer:
        try:
            operator, cookies = await self._operators.recognised(request)
        except Problem as problem:
            wants_page = not wants_json(request) and not wants_events(request)
            if problem.status == 401 and request.method in _READS and wants_page:
                return redirect(f"{CONSOLE_PATH}/{LOGIN}?next={quote(_here(request))}")
            raise
        try:
            return await self._answered(request, path, operator, cookies)
        except Problem as problem:
            raise with_cookies(problem, cookies) from None

    async def _answered(self, request: Request, path: str, operator: Operator, cookies: Headers) -> Answer:
        page, values = self._found(path)
        here = f"{CONSOLE_PATH}/{path}".rstrip("/")
        asked = PageRequest(here, values, _query(request), operator, self._clock.now())
        if wants_events(request):
            _require(request, "GET")
            watched, reader = _here(request), LiveOperator(operator.subject, operator.login)
            return self._live.stream(request, watched, lambda: self._document(page, asked), reader, cookies)
        try:
            shown = await self._shown(request, page, asked)
        except PageRefused as refused:
            raise Problem(refused.status, "CANNOT_BE_DONE", refused.detail) from refused
        except ConfigurationError as error:
            raise Problem(503, "SYSTEM_UNAVAILABLE", f"the system could not be asked: {error}") from error
        if wants_json(request):
            found = HttpAnswer(shown.status, [JSON, _NO_STORE, _VARY, *cookies], as_json(shown))
        else:
            found = self._html(shown, asked, cookies)
        return found if page.act is not None else compressed(found, request.header(b"accept-encoding"))

    async def _document(self, page: ConsolePage, asked: PageRequest) -> bytes:
        """Gives what a page shows now; of one that cannot be read, why."""
        try:
            return as_json(await page.show(replace(asked, now=self._clock.now())))
        except (PageRefused, ConfigurationError, Problem) as error:
            return str(error).encode()

    async def _shown(self, request: Request, page: ConsolePage, asked: PageRequest) -> ShownPage:
        if page.act is None:
            _require(request, "GET")
        else:
            _require(request, "GET", "POST")
        if page.act is None or request.method in _READS:
            return await page.show(asked)
        form = await form_of(request)
        self._operators.require_proof(asked.operator, form.get("proof", [""])[0])
        return await page.act(PageRequest(asked.path, asked.values, asked.query, asked.operator, asked.now, form))

    def _found(self, path: str) -> tuple[ConsolePage, Mapping[str, str]]:
        for page in self._pages:
            values = page.match(path)
            if values is not None:
                return page, values
        raise Problem(404, "ROUTE_NOT_FOUND", "this page does not exist")

    def _html(self, shown: ShownPage, asked: PageRequest, cookies: Headers) -> HttpAnswer:
        values = {
            **shown.values,
            "title": shown.title,
            "notice": shown.notice,
            "failed": shown.failed,
            "operator": asked.operator,
            "here": asked.path,
            "now": asked.now,
        }
        return HttpAnswer(shown.status, [*_HTML, _NO_STORE, *cookies], self._templates.render(shown.template, values))

    def _failure(self, request: Request, problem: Problem) -> HttpAnswer:
        if problem.status == 401:
            return self._login_page(CONSOLE_PATH, problem.detail, 401)
        values = {"problem": problem, "operator": Operator(request.subject), "reference": request.request_id}
        body = self._templates.render("failure.html", values | {"here": request.path, "now": self._clock.now()})
        headers = [pair for pair in problem.all_headers() if pair[0] not in (b"content-type", b"cache-control")]
        return HttpAnswer(problem.status, [*_HTML, _NO_STORE, *headers], body)

    def _login_page(self, leads_to: str, failure: str, status: int) -> HttpAnswer:
        values: dict[str, Any] = {"leads_to": leads_to, "failure": failure, "operator": _NOBODY}
        body = self._templates.render("login.html", values | {"by_password": self._operators.sessions is not None})
        return HttpAnswer(status, [*_HTML, _NO_STORE], body)


def compressed(answer: HttpAnswer, accepted: str) -> HttpAnswer:
    """Compresses a page as its client likes it, unless it is small.

    Only for pages without forms, whose proofs are secrets: beside what a stranger has written, compression would tell
    by its length what a secret begins with (BREACH, Black Hat USA 2013).
    """
    encoding = chosen(accepted)
    if not encoding or len(answer.body) < _WORTH:
        return answer
    body = ENCODERS[encoding](answer.body)
    return HttpAnswer(answer.status, [*answer.headers, (b"content-encoding", encoding.encode())], body)


def wants_json(request: Request) -> bool:
    """Tells whether a client wants a page's data: it says so in the query, or takes JSON and no HTML."""
    if b"format=json" in request.query.split(b"&"):
        return True
    accepted = request.header(b"accept")
    return "application/json" in accepted and "text/html" not in accepted


def wants_events(request: Request) -> bool:
    """Tells whether a client wants to be told when a page changes."""
    return request.header(b"accept") == "text/event-stream"


def as_json(shown: ShownPage) -> bytes:
    """Returns the data of a page as JSON, and with `notice` what was done."""
    document = shown.document
    if shown.notice:
        document = {"notice": shown.notice, "failed": shown.failed, "data": document}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _require(request: Request, *methods: str) -> None:
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        raise method_not_allowed(", ".join(methods))


def _query(request: Request) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(request.query.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except (ValueError, UnicodeError):
        raise Problem(400, "INVALID_REQUEST", "the query cannot be read") from None


def _here(request: Request) -> str:
    query = request.query.decode("latin-1")
    return f"{request.path}?{query}" if query else request.path
