"""Headers that tell browsers and caches what to do with answers."""

from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

ME = "/api/v1/users/me"


async def test_answers_for_one_caller_are_kept_by_nobody_else(world: Any) -> None:
    mine = await world.send("GET", ME, token=world.token())
    assert mine.headers["cache-control"] == "private, no-cache"
    world.services.answer("CreateToken", pb.Token(access_token="a"))
    token = await world.send("POST", "/api/v1/auth/token", {"refreshToken": "r"})
    assert token.headers["cache-control"] == "no-store"
    public = await world.send("GET", "/api/v1/products/P-1")
    assert public.headers["cache-control"] == "no-cache", "kept by anybody, and asked for again each time"
    assert (await world.send("GET", ME)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("target", ["/healthz", "/docs", "/openapi.json", "/nowhere", ME, "/api/v1/products/P-1"])
async def test_every_answer_says_that_its_type_is_what_it_says(world: Any, target: str) -> None:
    assert (await world.send("GET", target)).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", ["/docs", "/docs/events"])
async def test_a_page_runs_its_own_script_alone_and_is_framed_by_nobody(world: Any, target: str) -> None:
    headers = (await world.send("GET", target)).headers
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy


async def test_only_over_tls_a_browser_is_told_to_use_tls(world: Any) -> None:
    plain = await world.send("GET", "/healthz")
    assert "strict-transport-security" not in plain.headers
    app = world.gateway

    async def over_tls(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "scheme": "https"}, receive, send)

    world.client.app = over_tls
    for target in ("/healthz", ME, "/nowhere"):
        assert (await world.send("GET", target)).headers["strict-transport-security"] == "max-age=31536000"
