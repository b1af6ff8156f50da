"""Sessions of browsers by cookies, and the attacks that cookies invite."""

from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from souk.gateway.auth.cookies import ACCESS, REFRESH, cookie, without_cookies
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.kernel.errors import DomainError

ME, SESSION, GO_ON = "/api/v1/users/me", "/session", "/session:refresh"
OWN = ("sec-fetch-site", "same-origin")
LOGIN = {"email": "mina@example.com", "password": "correct horse"}
ATTRIBUTES = "; Path=/; Secure; HttpOnly; SameSite=Strict"
CHANGE = {"name": "Mallory"}


def cookies_of(response: Any) -> list[str]:
    return [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]


def sent(access: str = "", refresh: str = "") -> tuple[str, str]:
    return "cookie", f"theme=dark; {ACCESS}={access}; {REFRESH}={refresh}"


def logs_in(world: Any, refresh: str = "refresh-1") -> str:
    access: str = world.token("U-1")
    world.services.answer("CreateToken", pb.Token(access_token=access, refresh_token=refresh, expires_in=900))
    return access


async def test_logging_in_sets_cookies_that_no_script_reads_and_shows_no_token(world: Any) -> None:
    access = logs_in(world)
    response = await world.send("POST", SESSION, LOGIN, headers=[OWN])
    assert (response.status, response.body, response.headers["cache-control"]) == (204, b"", "no-store")
    assert cookies_of(response) == [
        f"{ACCESS}={access}; Max-Age=900{ATTRIBUTES}",
        f"{REFRESH}=refresh-1{ATTRIBUTES}",
    ]
    assert world.services.last[1].email == LOGIN["email"]


async def test_the_cookie_is_the_caller(world: Any) -> None:
    access = logs_in(world)
    assert (await world.send("GET", ME, headers=[sent(access)])).status == 200
    assert world.services.last[2].caller.subject == "U-1"
    assert (await world.send("PATCH", ME, CHANGE, headers=[sent(access), OWN])).status == 200
    assert (await world.send("GET", ME, headers=[sent("a.b.c")])).status == 401
    assert (await world.send("GET", ME, headers=[("cookie", "theme=dark")])).status == 401


async def test_parts_of_a_cookie_header_are_one(world: Any) -> None:
    split = [("cookie", "theme=dark"), ("cookie", f"{ACCESS}={logs_in(world)}"), ("cookie", "x=1")]
    assert (await world.send("GET", ME, headers=split)).status == 200


FOREIGN = [
    [("sec-fetch-site", "cross-site")],
    [("sec-fetch-site", "same-site")],
    [("sec-fetch-site", "none")],
    [("sec-fetch-site", "Same-Origin")],
    [("sec-fetch-site", "cross-site"), ("origin", "https://shop.test")],
    [OWN, OWN],
    [],
    [("origin", "https://evil.test")],
    [("origin", "https://shop.test.evil.test")],
    [("origin", "https://shop.test:8443")],
    [("origin", "http://shop.test")],
    [("origin", "null")],
    [("origin", "https://shop.test/path")],
    [("origin", "https://user@shop.test")],
    [("origin", "https://shop.test"), ("origin", "https://evil.test")],
    [("referer", "https://shop.test/")],
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_page_changes_nothing(world: Any, headers: list[tuple[str, str]]) -> None:
    access = logs_in(world)
    foreign = [*headers, ("host", "shop.test"), sent(access, "refresh-1")]
    asked = (("PATCH", ME, CHANGE), ("POST", SESSION, LOGIN), ("POST", GO_ON, b""), ("DELETE", SESSION, b""))
    for method, target, body in asked:
        response = await world.send(method, target, body, headers=foreign)
        assert (response.status, response.json["code"]) == (403, "CROSS_SITE")
        assert cookies_of(response) == []
    assert world.services.count("UpdateMe") == world.services.count("CreateToken") == 0
    assert world.services.count("Logout") == 0
    sample = {"code": "CROSS_SITE", "why": "cross-site"}
    assert world.registry.get_sample_value("souk_gateway_refusals_total", sample) == len(asked)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://shop.test", "shop.test"),
        ("https://Shop.test", "shop.TEST"),
        ("https://shop.test:8443", "shop.test:8443"),
        ("http://localhost:8080", "localhost:8080"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
    ],
)
async def test_a_browser_without_fetch_metadata_says_its_origin(world: Any, origin: str, host: str) -> None:
    proof = [("origin", origin), ("host", host)]
    assert (await world.send("PATCH", ME, CHANGE, headers=[*proof, sent(logs_in(world))])).status == 200


async def test_a_bearer_needs_no_proof_and_its_cookies_do_not_count(world: Any) -> None:
    headers = [("sec-fetch-site", "cross-site"), sent(world.token("U-2"))]
    response = await world.send("PATCH", ME, CHANGE, token=world.token("U-1"), headers=headers)
    assert response.status == 200
    assert world.services.last[2].caller.subject == "U-1"
    assert (await world.send("GET", ME, token="a.b.c", headers=headers)).status == 401


@pytest.mark.parametrize(
    "header",
    [
        "{name}={token}; {name}=other",
        "{name}=other; {name}={token}",
        "souk-access={token}",
        "__Secure-souk-access={token}",
        "__host-souk-access={token}",
        "x={name}={token}",
        "{name} ={token}",
        "{name}={token},{name}={token}",
        '{name}="{token}"',
    ],
)
async def test_a_cookie_that_somebody_else_put_there(world: Any, header: str) -> None:
    value = header.format(name=ACCESS, token=world.token("U-1"))
    assert (await world.send("GET", ME, headers=[("cookie", value)])).status == 401


async def test_going_on_rotates_both_and_an_ended_login_clears_them(world: Any) -> None:
    access = logs_in(world, "refresh-2")
    response = await world.send("POST", GO_ON, headers=[OWN, sent("expired", "refresh-1")])
    assert response.status == 204
    assert cookies_of(response)[0].startswith(f"{ACCESS}={access};")
    assert world.services.last[1].refresh_token == "refresh-1"
    world.services.refuse("CreateToken", DomainError("BAD_CREDENTIALS", "the refresh token is not valid"))
    ended = await world.send("POST", GO_ON, headers=[OWN, sent("expired", "refresh-1")])
    assert ended.status == 401
    assert cookies_of(ended) == [f"{name}=; Max-Age=0{ATTRIBUTES}" for name in (ACCESS, REFRESH)]
    assert (await world.send("POST", GO_ON, headers=[OWN])).status == 401


async def test_logging_out_ends_the_login_and_clears_the_cookies(world: Any) -> None:
    access = logs_in(world, "refresh-2")
    for given, refresh in ((access, "refresh-1"), ("expired", "refresh-2")):
        response = await world.send("DELETE", SESSION, headers=[OWN, sent(given, "refresh-1")])
        assert response.status == 204
        assert cookies_of(response) == [f"{name}=; Max-Age=0{ATTRIBUTES}" for name in (ACCESS, REFRESH)]
        name, request, context = world.services.last
        assert (name, request.refresh_token, context.caller.subject) == ("Logout", refresh, "U-1")
    world.services.refuse("CreateToken", DomainError("BAD_CREDENTIALS", "the refresh token is not valid"))
    assert (await world.send("DELETE", SESSION, headers=[OWN, sent("expired", "x")])).status == 204
    assert (await world.send("DELETE", SESSION, headers=[OWN])).status == 204


async def test_what_cannot_be_ended_now_keeps_its_cookies(world: Any) -> None:
    world.services.refuse("Logout", RuntimeError("away"))
    response = await world.send("DELETE", SESSION, headers=[OWN, sent(logs_in(world), "refresh-1")])
    assert (response.status, cookies_of(response)) == (500, [])


async def test_a_wrong_password_sets_nothing(world: Any) -> None:
    world.services.refuse("CreateToken", DomainError("BAD_CREDENTIALS", "email or password is wrong"))
    response = await world.send("POST", SESSION, LOGIN, headers=[OWN])
    assert (response.status, response.json["code"], cookies_of(response)) == (401, "BAD_CREDENTIALS", [])
    assert (await world.send("POST", SESSION, {"email": 7}, headers=[OWN])).status == 400


async def test_sessions_and_client_tokens_count_as_logins_do(world: Any) -> None:
    few = from_mapping({"sensitive": {"count": 3, "window": 60}})
    refused = DomainError("BAD_CREDENTIALS", "no")
    form = [("content-type", "application/x-www-form-urlencoded")]
    for method, target, body, headers in (
        ("POST", SESSION, LOGIN, [OWN]),
        ("POST", GO_ON, b"", [OWN, sent("x", "refresh")]),
        ("DELETE", SESSION, b"", [OWN, sent("x", "refresh")]),
        ("POST", "/oauth/token", b"grant_type=client_credentials", form),
    ):
        world.remake(RateLimits.of(few, MemoryQuotas(world.clock), LimitMode.ENFORCE))
        world.services.refuse("CreateToken", refused)
        statuses = [(await world.send(method, target, body, headers=headers)).status for _ in range(4)]
        assert 429 not in statuses[:3]
        assert statuses[3] == 429, target


@pytest.mark.parametrize("text", ["", ";", "=", "a", ";;a=b;", f"{ACCESS}", f"{ACCESS}=", f" {ACCESS}=; x"])
def test_what_is_in_no_cookie_is_empty(text: str) -> None:
    assert cookie(text, ACCESS) == ""


def test_no_server_behind_is_shown_our_cookies() -> None:
    header = f"a=1; {ACCESS}=x.y.z;{REFRESH}=r; b=2".encode()
    assert without_cookies(header) == b"a=1; b=2"
