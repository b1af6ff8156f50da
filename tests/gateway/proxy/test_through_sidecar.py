"""An upstream behind the gateway's own sidecar, which a server of octets stands for."""

from typing import Any

import pytest

from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.model import RetryPolicy
from souk.kernel.clock import SystemClock
from souk.rpc.caller_token import OVER_HTTP, CallerTokens
from tests.gateway.proxy.conftest import OK, Accepted, Proxy, Server

GET = "GET /up/x?y=1 HTTP/1.1"
KEY = b"what nobody guesses, as in every test"
MANY = 150
"""Failures in a row that would open the breaker of another upstream, and eject its instance."""


def own_answer(status: int, **headers: str) -> bytes:
    """Makes an answer that a sidecar gives by itself."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} x\r\ncontent-length: 4\r\n{lines}\r\nwhy!".encode()


NOT_SENT = own_answer(503, souk_response_flags="UF", souk_attempts="1")


@pytest.fixture
async def sidecar(world: Any, serve: Any, proxy: Proxy) -> Any:
    """The sidecar; it answers what a test puts into its `answers`, and then OK."""
    made = await serve()
    made.answers = []

    async def script(peer: Accepted) -> None:
        while True:
            await peer.request()
            await peer.send(made.answers.pop(0) if made.answers else OK)

    made.script = script
    tokens = CallerTokens(KEY, "gateway", SystemClock())
    upstream = Upstream("application reviews", world.clock, settings=UpstreamSettings().beside_sidecar)
    proxy.upstream = upstream.through(f"127.0.0.1:{made.port}", "reviews", tokens)
    yield made
    await upstream.close()


async def test_the_sidecar_is_told_the_service_and_the_clients_host(proxy: Proxy, sidecar: Server) -> None:
    forged = "\nx-envoy-retry-on: 5xx\nsouk-client-host: evil\nsouk-tries: x\nsouk-caller: forged\naccept: */*"
    assert (await proxy.ask(GET + forged))[0] == 200
    line, headers = sidecar.last
    assert line == "GET /x?y=1 HTTP/1.1"
    assert (headers["host"], headers["souk-client-host"]) == ("reviews", "shop.test")
    assert (headers["x-forwarded-host"], headers["accept"]) == ("shop.test", "*/*")
    assert CallerTokens(KEY, "reviews", SystemClock()).verify(headers["souk-caller"], OVER_HTTP).service == "gateway"
    assert not {"x-envoy-retry-on", "souk-tries"} & headers.keys()


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (NOT_SENT, 503, b"UPSTREAM_UNAVAILABLE"),
        (own_answer(404, souk_response_flags="NR", souk_attempts="0"), 503, b"UPSTREAM_UNAVAILABLE"),
        (own_answer(503, souk_response_flags="UF,URX", souk_attempts="3"), 502, b"UPSTREAM_FAILED"),
        (own_answer(503, souk_response_flags="UC", souk_attempts="1"), 502, b"UPSTREAM_FAILED"),
        (own_answer(503, souk_callee_flags="UF"), 503, b"UPSTREAM_UNAVAILABLE"),
        (own_answer(403, souk_callee_flags="-"), 502, b"UPSTREAM_FAILED"),
    ],
)
async def test_what_a_sidecar_answers_by_itself_is_no_answer(
    proxy: Proxy, sidecar: Any, answer: bytes, status: int, code: bytes
) -> None:
    sidecar.answers.append(answer)
    found, headers, body = await proxy.ask(GET)
    assert (found, headers["content-type"]) == (status, "application/problem+json")
    assert code in body
    assert not [name for name in headers if name.startswith("souk-")]
    assert len(sidecar.requests) == 1  # the sidecar has tried all that may be tried
    assert (await proxy.ask(GET))[0] == 200


async def test_an_answer_of_the_application_goes_on_whatever_its_status(proxy: Proxy, sidecar: Any) -> None:
    sidecar.answers.append(b"HTTP/1.1 503 x\r\ncontent-length: 5\r\n\r\nfull!")
    assert (await proxy.ask(GET))[::2] == (503, b"full!")


async def test_a_route_that_tries_again_says_so_and_does_it_alone(proxy: Proxy, sidecar: Any) -> None:
    proxy.retry = RetryPolicy(codes=frozenset({503}), attempts=2, backoff=0.001)
    sidecar.answers += [own_answer(503), own_answer(503, souk_response_flags="UC", souk_attempts="1")]
    assert (await proxy.ask(GET))[0] == 200
    assert [headers["souk-tries"] for _, headers in sidecar.requests] == ["sender"] * 3
    sidecar.requests.clear()
    sidecar.answers += [NOT_SENT]
    assert (await proxy.ask(GET))[0] == 503
    assert len(sidecar.requests) == 1


async def test_whatever_fails_behind_it_the_sidecar_is_asked_again(proxy: Proxy, sidecar: Any) -> None:
    sidecar.answers += [own_answer(503, souk_response_flags="UC", souk_attempts="1")] * MANY
    assert {(await proxy.ask(GET))[0] for _ in range(MANY)} == {502}
    assert len(sidecar.requests) == MANY
    assert (await proxy.ask(GET))[0] == 200
