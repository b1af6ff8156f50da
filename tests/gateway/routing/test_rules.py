"""What a rule does to a request and to its answer, seen by an upstream and by the client."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
from shop.user.v1 import user_pb2

from souk.gateway.http.answers import Answer, HttpAnswer
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.routing.outgoing import OutgoingRequest
from souk.gateway.routing.reading.document import parse
from souk.gateway.settings import GatewaySettings


@dataclass
class Upstreams(Mapping[str, Any]):
    """Every upstream there may be; what they were sent is in `sent`."""

    sent: list[tuple[str, OutgoingRequest]] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __getitem__(self, name: str) -> "Fake":
        return Fake(self, name)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    @property
    def last(self) -> OutgoingRequest:
        return self.sent[-1][1]

    def header(self, name: str) -> list[str]:
        return [value.decode() for key, value in self.last.headers if key == name.encode()]


@dataclass
class Fake:
    upstreams: Upstreams
    name: str
    vouches = False

    async def forward(self, request: Request, outgoing: OutgoingRequest) -> Answer:
        self.upstreams.sent.append((self.name, outgoing))
        return HttpAnswer(200, [(b"x-upstream", self.name.encode()), *self.upstreams.headers], b"ok")


@pytest.fixture(name="upstreams")
def _upstreams() -> Upstreams:
    return Upstreams()


def rule(filters: str = "", more: str = "", path: str = "/a", backends: str = "[http://a:1]") -> str:
    text = f"routes:\n- rules:\n  - matches: [{{path: {path}}}]\n    filters: [{filters}]\n"
    return text + (f"    backendRefs: {backends}\n" if backends else "") + (f"    {more}\n" if more else "")


def use(world: Any, upstreams: Upstreams, text: str) -> None:
    world.gateway.use_routes(parse(text), upstreams)


async def test_a_path_and_all_below_it_go_to_the_upstream_as_they_are(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, "routes:\n  /auth: http://a:1\n  /orders: http://b:2\n")
    answer = await world.send("POST", "/orders/7%2F8?x=1&y=%20", b"body", headers=[("host", "shop:80")])
    assert (answer.status, answer.headers["x-upstream"], answer.body) == (200, "http://b:2", b"ok")
    assert (upstreams.last.method, upstreams.last.target) == ("POST", b"/orders/7%2F8?x=1&y=%20")
    assert upstreams.header("host") == ["shop:80"]
    assert (await world.send("GET", "/ordersx")).status == 404
    assert (await world.send("GET", "/")).status == 404
    assert (await world.send("GET", "/healthz")).json == {"status": "ok"}
    assert (await world.send("GET", "/api/v1/orders")).status == 401  # the contract's


async def test_nothing_reserved_is_passed_on(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, rule())
    await world.send("GET", "/a", headers=[("souk-caller", "admin"), ("x-other", "1")])
    assert (upstreams.header("souk-caller"), upstreams.header("x-other")) == ([], ["1"])


async def test_no_api_key_is_passed_on_and_one_needs_the_scope(world: Any, upstreams: Upstreams) -> None:
    key = f"souk_{'0' * 16}_{'A' * 43}"
    use(world, upstreams, rule(more="scopes: [reports]"))
    for header in (("x-api-key", key), ("authorization", f"Bearer {key}")):
        for scopes, status in ((["reports"], 200), (["order:read"], 403)):
            world.clock.advance(5)
            owner = user_pb2.ApiKeyOwner(user_id="U-1", scopes=scopes)
            world.services.answer("AuthenticateApiKey", owner)
            assert (await world.send("GET", "/a", headers=[header])).status == status
        assert upstreams.header(header[0]) == []
    use(world, upstreams, rule(more="access: caller"))
    world.services.answer("AuthenticateApiKey", user_pb2.ApiKeyOwner(user_id="U-1", scopes=["order:read"]))
    assert (await world.send("GET", "/a", headers=[("x-api-key", key)])).status == 403, "closed to keys without scopes"
    await world.send("GET", "/a", token=world.token())
    assert upstreams.header("authorization") == [f"Bearer {upstreams.header('authorization')[0].split()[1]}"]


async def test_a_session_opens_a_route_and_its_cookies_stay_here(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, rule(more="access: caller"))
    cookies = ("cookie", f"a=1; __Host-souk-access={world.token()}; __Host-souk-refresh=r")
    assert (await world.send("GET", "/a", headers=[cookies])).status == 200
    assert upstreams.header("cookie") == ["a=1"]
    assert (await world.send("POST", "/a", headers=[cookies])).status == 403
    assert (await world.send("POST", "/a", headers=[cookies, ("sec-fetch-site", "same-origin")])).status == 200


@pytest.mark.parametrize(
    ("redirect", "target", "host", "location"),
    [
        ("{scheme: https}", "/a?q=1", "shop:8080", "https://shop/a?q=1"),
        ("{scheme: https, port: 8443}", "/a", "shop", "https://shop:8443/a"),
        ("{scheme: https, port: 443}", "/a", "shop:80", "https://shop/a"),
        ("{port: 8083}", "/a", "shop:1", "http://shop:8083/a"),
        ("{port: 80}", "/a", "shop:1", "http://shop/a"),
        ("{hostname: example.org}", "/a", "shop:8080", "http://example.org:8080/a"),
        ("{hostname: example.org}", "/a", "[::1]:80", "http://example.org/a"),
        ("{path: {replaceFullPath: /new}}", "/a/b", "shop", "http://shop/new"),
        ("{path: {replacePrefixMatch: /new/}}", "/a/b/", "shop", "http://shop/new/b/"),
        ("{path: {replacePrefixMatch: ''}}", "/a", "shop", "http://shop/"),
        ("{path: {replacePrefixMatch: /}}", "/a//evil.example", "", "/evil.example"),
    ],
)
async def test_a_redirect_says_where(
    world: Any, upstreams: Upstreams, redirect: str, target: str, host: str, location: str
) -> None:
    use(world, upstreams, rule(f"{{requestRedirect: {redirect}}}", backends=""))
    answer = await world.send("GET", target, headers=[("host", host)] if host else [])
    assert (answer.status, answer.headers["location"]) == (302, location)
    assert upstreams.sent == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_has_the_status_that_is_asked_for(world: Any, upstreams: Upstreams, status: int) -> None:
    use(world, upstreams, rule(f"{{requestRedirect: {{statusCode: {status}}}}}", backends=""))
    assert (await world.send("POST", "/a", b"body", headers=[("host", "h")])).status == status


@pytest.mark.parametrize(
    ("path", "change", "target", "expected"),
    [
        ("/a", "replacePrefixMatch: /x", "/a/b", b"/x/b"),
        ("/a", "replacePrefixMatch: /x/", "/a/b", b"/x/b"),
        ("/a", "replacePrefixMatch: /x", "/a", b"/x"),
        ("/a", "replacePrefixMatch: /x", "/a/", b"/x/"),
        ("/a", "replacePrefixMatch: /", "/a", b"/"),
        ("/a", "replacePrefixMatch: /", "/a/b?q", b"/b?q"),
        ("/a/", "replacePrefixMatch: /x", "/a/b", b"/x/b"),
        ("/", "replacePrefixMatch: /x", "/b", b"/x/b"),
        ("/a", "replaceFullPath: /x", "/a/b?q=1", b"/x?q=1"),
    ],
)
async def test_a_rewrite_changes_the_path(
    world: Any, upstreams: Upstreams, path: str, change: str, target: str, expected: bytes
) -> None:
    use(world, upstreams, rule(f"{{urlRewrite: {{hostname: new.example, path: {{{change}}}}}}}", path=path))
    await world.send("GET", target, headers=[("host", "old")])
    assert upstreams.last.target == expected
    assert upstreams.header("host") == ["new.example"]


async def test_a_rewrite_of_the_backend_comes_before_that_of_the_rule(world: Any, upstreams: Upstreams) -> None:
    backend = "[{url: http://a:1, filters: [{urlRewrite: {path: {replacePrefixMatch: /backend}}}]}]"
    change = "{urlRewrite: {hostname: rule.example, path: {replacePrefixMatch: /a/much/longer/one}}}"
    use(world, upstreams, rule(change, backends=backend))
    await world.send("GET", "/a/b")
    assert (upstreams.last.target, upstreams.header("host")) == (b"/backend/b", ["rule.example"])


async def test_headers_are_changed_both_ways(world: Any, upstreams: Upstreams) -> None:
    change = "{set: {X-Set: new}, add: {X-Add: two}, remove: [X-Remove]}"
    backend = "[{url: http://a:1, filters: [{requestHeaderModifier: {add: {X-Add: three}}}, " \
        "{responseHeaderModifier: {remove: [x-upstream]}}]}]"  # fmt: skip
    use(
        world,
        upstreams,
        rule(f"{{requestHeaderModifier: {change}}}, {{responseHeaderModifier: {change}}}", backends=backend),
    )
    upstreams.headers = [(b"x-set", b"old"), (b"x-add", b"one"), (b"x-remove", b"1"), (b"x-kept", b"1")]
    sent = [("X-Set", "old"), ("x-set", "older"), ("X-Add", "one"), ("X-Remove", "1"), ("x-kept", "1")]
    answer = await world.send("GET", "/a", headers=sent)
    assert [upstreams.header(name) for name in ("x-set", "x-add", "x-remove", "x-kept")] == [
        ["new"],
        ["one", "two", "three"],
        [],
        ["1"],
    ]
    shown = [pair for pair in answer.raw_headers if pair[0] in (b"x-set", b"x-add", b"x-remove", b"x-kept")]
    assert shown == [(b"x-add", b"one"), (b"x-kept", b"1"), (b"x-set", b"new"), (b"x-add", b"two")]
    assert "x-upstream" not in answer.headers


async def test_weights_are_kept_exactly(world: Any, upstreams: Upstreams) -> None:
    backends = "[{url: http://a:1, weight: 7}, {url: http://b:1, weight: 3}, {url: http://c:1, weight: 0}]"
    use(world, upstreams, rule(backends=backends))
    for _ in range(20):
        await world.send("GET", "/a")
    assert Counter(name for name, _ in upstreams.sent) == {"http://a:1": 14, "http://b:1": 6}
    assert [name for name, _ in upstreams.sent[:10]].count("http://a:1") == 7


@pytest.mark.parametrize("backends", ["[]", "[{url: http://a:1, weight: 0}]"])
async def test_a_rule_that_leads_nowhere_says_so(world: Any, upstreams: Upstreams, backends: str) -> None:
    use(world, upstreams, rule(backends=backends))
    answer = await world.send("GET", "/a")
    assert (answer.status, answer.json["code"]) == (500, "NO_BACKEND")


async def test_a_part_of_the_requests_is_mirrored(world: Any, upstreams: Upstreams) -> None:
    mirrors = "{requestMirror: {backendRef: {url: http://m:1}, percent: 20}}, " \
        "{requestMirror: {backendRef: {url: http://n:1}, fraction: {numerator: 1, denominator: 2}}}"  # fmt: skip
    use(world, upstreams, rule(mirrors))
    for _ in range(10):
        await world.send("GET", "/a")
    mirrored = Counter(mirror.name for _, outgoing in upstreams.sent for mirror in outgoing.mirrors)  # type: ignore[attr-defined]
    assert mirrored == {"http://m:1": 2, "http://n:1": 5}


async def test_a_rule_may_ask_for_a_caller(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, rule(more="scopes: [orders.read]"))
    assert (await world.send("GET", "/a")).status == 401
    assert (await world.send("GET", "/a", token=world.token())).status == 403
    assert (await world.send("GET", "/a", token=world.token(scope="orders.read"))).status == 200
    assert len(upstreams.sent) == 1


async def test_a_guarded_path_is_guarded_however_it_is_written(world: Any, upstreams: Upstreams) -> None:
    text = "routes: {/: http://open:1, /admin: {access: caller, backendRefs: [http://guarded:1]}}"
    use(world, upstreams, text)
    for path in ("/admin", "//admin", "/%61dmin", "///admin//users", "/admin/%2F"):
        assert (await world.send("GET", path)).status == 401
    await world.send("GET", "//admin//x", token=world.token())
    assert (upstreams.sent[0][0], upstreams.last.target) == ("http://guarded:1", b"//admin//x")


async def test_a_redirect_knows_the_scheme_from_a_trusted_proxy(world_of: Any, upstreams: Upstreams) -> None:
    forwarded = [("host", "shop"), ("x-forwarded-proto", "https")]
    for networks, scheme in ((("192.0.2.0/24",), "https"), (("198.51.100.0/24",), "http"), ((), "http")):
        settings = GatewaySettings(trusted_proxies=tuple(ip_network(one) for one in networks))
        async with world_of(settings) as world:
            use(world, upstreams, rule("{requestRedirect: {path: {replaceFullPath: /b}}}", backends=""))
            answer = await world.send("GET", "/a", headers=forwarded)
            assert answer.headers["location"] == f"{scheme}://shop/b"


async def test_a_rule_may_have_a_rate_class(world: Any, upstreams: Upstreams) -> None:
    policies = from_mapping({"one": {"by": "address", "classes": ["sensitive"], "count": 1, "window": 3600}}, ())
    world.remake(RateLimits.of(policies, MemoryQuotas(world.clock), LimitMode.ENFORCE))
    use(world, upstreams, rule(more="rateClass: sensitive"))
    assert [(await world.send("GET", "/a")).status for _ in range(2)] == [200, 429]


CORS = "{cors: {allowOrigins: ['https://shop.example', 'https://*.example.org'], allowMethods: [GET, PUT], " \
    "allowHeaders: [X-One], exposeHeaders: [X-Two], allowCredentials: true, maxAge: 60}}"  # fmt: skip


async def test_a_preflight_is_answered_by_the_gateway(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, rule(CORS))
    asks = [("origin", "https://a.b.example.org"), ("access-control-request-method", "PUT")]
    answer = await world.send("OPTIONS", "/a/b", headers=asks)
    assert answer.status == 204
    assert {name: value for name, value in answer.headers.items() if name.startswith("access") or name == "vary"} == {
        "access-control-allow-origin": "https://a.b.example.org",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "X-One",
        "access-control-expose-headers": "X-Two",
        "access-control-allow-credentials": "true",
        "access-control-max-age": "60",
        "vary": "origin",
    }
    for origin in ("https://example.org", "https://evil.example", "http://shop.example", "null"):
        answer = await world.send("OPTIONS", "/a", headers=[("origin", origin), asks[1]])
        assert (answer.status, answer.json["code"]) == (403, "ORIGIN_NOT_ALLOWED")
        assert "access-control-allow-origin" not in answer.headers
    assert upstreams.sent == []


async def test_answers_say_which_page_may_read_them(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, rule(CORS, more="access: caller"))
    upstreams.headers = [(b"access-control-allow-origin", b"*")]
    page = [("origin", "https://shop.example")]
    refused = await world.send("GET", "/a", headers=page)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://shop.example")
    answer = await world.send("GET", "/a", headers=page, token=world.token())
    shown = [pair for pair in answer.raw_headers if pair[0] == b"access-control-allow-origin"]
    assert shown == [(b"access-control-allow-origin", b"https://shop.example")]
    other = await world.send("GET", "/a", headers=[("origin", "https://evil.example")], token=world.token())
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "origin"


async def test_a_preflight_finds_the_rule_of_the_method_that_it_announces(world: Any, upstreams: Upstreams) -> None:
    text = rule("{cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*']}}")
    use(world, upstreams, text.replace("{path: /a}", "{path: /a, method: PUT}"))
    asks = [("origin", "https://any.example"), ("access-control-request-headers", "authorization")]
    answer = await world.send("OPTIONS", "/a", headers=[*asks, ("access-control-request-method", "PUT")])
    assert answer.status == 204
    assert [answer.headers[f"access-control-allow-{name}"] for name in ("origin", "methods", "headers")] == ["*"] * 3
    answer = await world.send("OPTIONS", "/a", headers=[*asks, ("access-control-request-method", "GET")])
    assert answer.status == 404


async def test_dot_segments_are_refused(world: Any, upstreams: Upstreams) -> None:
    use(world, upstreams, rule())
    answer = await world.send("GET", "/a/%2e%2E/b")
    assert (answer.status, answer.json["code"]) == (400, "INVALID_PATH")
