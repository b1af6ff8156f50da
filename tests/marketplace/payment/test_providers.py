"""What every way to the card provider does alike: in this process, over HTTP, behind the breaker."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from marketplace.payment.adapters.api_key import ApiKey
from marketplace.payment.adapters.guarded_provider import GuardedProvider
from marketplace.payment.adapters.http_provider import NOTHING_WAS_DONE, HttpProvider
from marketplace.payment.adapters.in_process_provider import InProcessProvider
from marketplace.payment.adapters.sandbox.app import SandboxApp
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from marketplace.payment.adapters.sandbox_server import KEY_FILE, api_key_in
from marketplace.payment.ports import (
    CardProvider,
    ProviderAnswer,
    ProviderCharge,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RefundVerdict,
    Verdict,
)
from souk.kernel.clock import SystemClock
from souk.resilience.breaker.breaker import Breaker, BreakerSettings
from souk.runtime.process.http.server import serving
from souk.testing.clocks import FakeClock

CHARGED, VOIDED = ProviderAnswer(Verdict.CHARGED), ProviderAnswer(Verdict.VOIDED)
PROCESSING = ProviderAnswer(Verdict.PROCESSING)


def start_server(book: Path) -> tuple[subprocess.Popen[str], str]:
    """The sandbox bank as a process; its first line says where it listens."""
    module = "marketplace.payment.adapters.sandbox_server"
    arguments = [sys.executable, "-m", module, "--book", str(book), "--port", "0"]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, server.stdout.readline().split()[-1]


def key_of(book: Path) -> str:
    return (book / KEY_FILE).read_text().strip()


async def nobody_waits(seconds: float) -> None:
    """Stands for the wait of the bank's slow cards: returns at once."""
    raise TimeoutError


@asynccontextmanager
async def server_that_answers(answer: str) -> AsyncIterator[str]:
    """Answers one request on each connection, always the same, and closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def stop_server(server: subprocess.Popen[str], how: signal.Signals) -> None:
    server.send_signal(how)
    assert server.stdout is not None
    server.stdout.close()
    server.wait(10)


@asynccontextmanager
async def over_http(book: Path) -> AsyncIterator[HttpProvider]:
    """The client of a bank that this process serves: one that runs by itself takes a second of CPU to start."""
    bank = await SandboxBank.open(book, SystemClock())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serving(SandboxApp(bank, api_key_in(book)), listener, 1.0):
            provider = HttpProvider(f"http://127.0.0.1:{listener.getsockname()[1]}", 2.0, ApiKey(str(book / KEY_FILE)))
            yield provider
            await provider.close()
    await bank.close()


@pytest.fixture(params=["in process", "http", "guarded"])
async def provider(request, tmp_path: Path) -> AsyncIterator[CardProvider]:
    if request.param == "http":
        async with over_http(tmp_path) as provider:
            yield provider
        return
    in_process = InProcessProvider(await SandboxBank.open(tmp_path, SystemClock(), nobody_waits), 30.0)
    guarded = GuardedProvider(in_process, Breaker(), SystemClock())
    yield in_process if request.param == "in process" else guarded
    await in_process.close()


async def test_a_key_is_charged_once(provider) -> None:
    assert await provider.find("k/1 ä") is None
    answers = await asyncio.gather(*(provider.charge("k", "tok_visa", 500, "EUR") for _ in range(5)))
    assert answers == [CHARGED] * 5
    assert await provider.find("k") == CHARGED
    with pytest.raises(ProviderUnavailable):
        await provider.charge("k", "tok_visa", 501, "EUR")


async def test_a_card_may_decline(provider) -> None:
    answer = await provider.charge("k", "tok_declined", 500, "EUR")
    assert answer == ProviderAnswer(Verdict.DECLINED, "card_declined")
    assert await provider.find("k") == answer == await provider.void("k")


async def test_a_provider_may_fail_without_charging(provider) -> None:
    with pytest.raises(ProviderUnavailable):
        await provider.charge("k", "tok_error", 500, "EUR")
    assert await provider.find("k") is None


async def test_an_answer_may_be_lost(provider) -> None:
    with pytest.raises(ProviderSilent):
        await provider.charge("k", "tok_timeout", 500, "EUR")
    assert await provider.find("k") == CHARGED == await provider.void("k")


async def test_a_slow_charge_can_be_voided_until_it_settles(provider) -> None:
    with pytest.raises(ProviderSilent):
        await provider.charge("k", "tok_slow", 500, "EUR")
    assert await provider.find("k") == PROCESSING
    assert await provider.void("k") == VOIDED == await provider.find("k")
    assert await provider.charge("k", "tok_slow", 500, "EUR") == VOIDED


async def test_a_void_blocks_a_late_charge(provider) -> None:
    assert await provider.void("k") == VOIDED == await provider.void("k")
    assert await provider.charge("k", "tok_visa", 500, "EUR") == VOIDED


async def test_refunds_add_up_to_at_most_the_charge(provider) -> None:
    await provider.charge("k", "tok_visa", 500, "EUR")
    answers = await asyncio.gather(*(provider.refund("r/1", "k", 300) for _ in range(5)))
    assert answers == [RefundVerdict.MADE] * 5
    with pytest.raises(ProviderRefused):
        await provider.refund("r2", "k", 201)
    assert await provider.find_refund("r2") is None
    await provider.refund("r2", "k", 200)
    assert await provider.find_refund("r/1") is RefundVerdict.MADE is await provider.find_refund("r2")


async def test_the_provider_shows_its_record_in_pages(provider) -> None:
    for number in range(3):
        await provider.charge(f"k/{number}", "tok_visa", 500 + number, "EUR")
    await provider.charge("d", "tok_declined", 1, "USD")
    await provider.void("v")
    await provider.refund("r", "k/1", 200)
    first = await provider.charges("", 2)
    assert [one.key for one in first] == ["k/0", "k/1"]
    assert first[1] == ProviderCharge("k/1", 501, "EUR", Verdict.CHARGED, 200)
    rest = await provider.charges("k/1", 50)
    assert [(one.key, one.verdict) for one in rest] == [
        ("k/2", Verdict.CHARGED),
        ("d", Verdict.DECLINED),
        ("v", Verdict.VOIDED),
    ]
    assert await provider.charges("v", 50) == []


async def test_a_slow_charge_settles_in_its_time(tmp_path) -> None:
    clock = FakeClock()
    provider = InProcessProvider(await SandboxBank.open(tmp_path, clock, nobody_waits), 30.0)
    with pytest.raises(ProviderSilent):
        await provider.charge("k", "tok_slow", 500, "EUR")
    clock.advance(3)
    assert await provider.charge("k", "tok_slow", 500, "EUR") == CHARGED == await provider.find("k")
    await provider.close()


async def test_the_bank_remembers_after_it_was_killed(tmp_path) -> None:
    server, url = start_server(tmp_path)
    provider = HttpProvider(url, 10.0, ApiKey(str(tmp_path / KEY_FILE)))
    await provider.charge("k", "tok_visa", 500, "EUR")
    stop_server(server, signal.SIGKILL)
    with pytest.raises(ProviderUnavailable):
        await provider.find("k")
    await provider.close()
    server, url = start_server(tmp_path)
    provider = HttpProvider(url, 10.0, ApiKey(str(tmp_path / KEY_FILE)))
    assert await provider.find("k") == CHARGED
    await provider.close()
    stop_server(server, signal.SIGTERM)
    assert server.returncode == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/", None),
        ("POST", "/v1/charges", {"source": "tok_visa", "amount": -1, "currency": "EUR"}),
        ("POST", "/v1/charges", {"source": "tok_visa", "amount": "1", "currency": "EUR"}),
        ("POST", "/v1/charges", {"source": "tok_other", "amount": 1, "currency": "EUR"}),
        ("POST", "/v1/charges", ["x"]),
        ("POST", "/v1/refunds", {"charge": "none", "amount": 1}),
    ],
)
async def test_the_server_refuses_with_a_code(tmp_path, method, path, body) -> None:
    bank = await SandboxBank.open(tmp_path, SystemClock())
    transport = httpx.ASGITransport(SandboxApp(bank, "sk_test"))
    async with httpx.AsyncClient(transport=transport, base_url="http://bank") as client:
        response = await client.request(
            method, path, json=body, headers={"Idempotency-Key": "k", "Authorization": "Bearer sk_test"}
        )
    assert 400 <= response.status_code < 500
    assert response.json()["error"]["code"]
    await bank.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "<html>"),
        (500, "{}"),
        (200, "[]"),
        (200, '{"status": "who knows", "reason": ""}'),
        *((status, f'{{"error": {{"code": {status}}}}}') for status in (500, 502, 503, 504)),
        *((504, body) for body in ('{"error": {}}', '{"error": "gateway_timeout"}', '{"error": null}', "null", '"x"')),
        *((503, f'{{"error": {{"code": {code}}}}}') for code in ('"gateway_timeout"', "null", "[]", "{}", "true")),
        (404, '{"error": {"code": "no_route"}}'),
        (404, "{}"),
        (429, '{"error": {"code": "rate_limited"}}'),
    ],
)
async def test_what_is_no_answer_of_the_provider_proves_nothing(status, body) -> None:
    answer = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    async with server_that_answers(answer) as url:
        provider = HttpProvider(url, 1.0)
        asked = (
            lambda: provider.charge("k", "tok_visa", 1, "EUR"),
            lambda: provider.find("k"),
            lambda: provider.void("k"),
            lambda: provider.refund("r", "k", 1),
            lambda: provider.find_refund("r"),
            lambda: provider.charges("", 10),
        )
        for ask in asked:
            with pytest.raises(ProviderSilent):
                await ask()
        await provider.close()


@pytest.mark.parametrize("code", sorted(NOTHING_WAS_DONE))
async def test_only_the_provider_s_own_codes_say_that_nothing_was_done(code) -> None:
    body = f'{{"error": {{"code": "{code}"}}}}'
    async with server_that_answers(f"HTTP/1.1 400 X\r\ncontent-length: {len(body)}\r\n\r\n{body}") as url:
        provider = HttpProvider(url, 1.0)
        with pytest.raises(ProviderRefused):
            await provider.charge("k", "tok_visa", 1, "EUR")
        await provider.close()


@pytest.mark.parametrize("answer", ["", "who knows\r\n\r\n", 'HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{"status"'])
async def test_half_an_answer_proves_nothing(answer) -> None:
    async with server_that_answers(answer) as url:
        provider = HttpProvider(url, 1.0)
        with pytest.raises(ProviderSilent):
            await provider.charge("k", "tok_visa", 1, "EUR")
        await provider.close()


async def test_a_connection_that_the_bank_has_closed_is_replaced() -> None:
    answer = 'HTTP/1.1 200 X\r\ncontent-length: 35\r\n\r\n{"status": "charged", "reason": ""}'
    async with server_that_answers(answer) as url:
        provider = HttpProvider(url, 1.0)
        for _ in range(3):
            assert await provider.charge("k", "tok_visa", 1, "EUR") == CHARGED
        await provider.close()


async def test_an_answer_that_takes_too_long_is_given_up(tmp_path) -> None:
    provider = InProcessProvider(await SandboxBank.open(tmp_path, SystemClock()), 0.1)
    with pytest.raises(ProviderSilent):
        await provider.charge("k", "tok_timeout", 500, "EUR")
    await provider.close()


async def test_the_breaker_leaves_a_failing_provider_alone(tmp_path) -> None:
    clock = FakeClock()
    bank = InProcessProvider(await SandboxBank.open(tmp_path, clock, nobody_waits), 30.0)
    settings = BreakerSettings(failure_rate=0.5, window=4, minimum_calls=4, probes=1)
    provider = GuardedProvider(bank, Breaker(settings), clock)
    await provider.charge("declined 1", "tok_declined", 500, "EUR")
    await provider.charge("declined 2", "tok_declined", 500, "EUR")
    for number in range(2):
        with pytest.raises(ProviderSilent):
            await provider.charge(f"k{number}", "tok_timeout", 500, "EUR", f"U-{number}")
    with pytest.raises(ProviderUnavailable) as refused:
        await provider.charge("k", "tok_visa", 500, "EUR")
    assert refused.value.retry_after == pytest.approx(5)
    assert await bank.find("k") is None
    clock.advance(5.1)
    assert await provider.charge("k", "tok_visa", 500, "EUR") == CHARGED
    await provider.close()


@pytest.mark.parametrize("key", ["", "sk_other", "sk_test2", "SK_TEST"])
async def test_the_bank_serves_nobody_without_its_key(tmp_path, key) -> None:
    bank = await SandboxBank.open(tmp_path, SystemClock())
    await bank.charge("k", "tok_visa", 500, "EUR")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serving(SandboxApp(bank, "sk_test"), listener, 1.0):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            (tmp_path / "key").write_text("sk_test\n")
            (tmp_path / "other").write_text(key)
            friend = HttpProvider(url, 5.0, ApiKey(str(tmp_path / "key")))
            stranger = HttpProvider(url, 5.0, ApiKey(str(tmp_path / "other") if key else ""))
            asked = (
                lambda: stranger.charge("k2", "tok_visa", 1, "EUR"),
                lambda: stranger.find("k"),
                lambda: stranger.find("none"),
                lambda: stranger.void("k"),
                lambda: stranger.refund("r", "k", 1),
                lambda: stranger.find_refund("r"),
                lambda: stranger.charges("", 10),
            )
            for ask in asked:
                with pytest.raises(ProviderRefused, match="unauthorized"):
                    await ask()
            assert await friend.find("k") == CHARGED
            assert [one.key for one in await friend.charges("", 10)] == ["k"]
            if key:  # a key that was replaced is read again
                (tmp_path / "other").write_text("sk_test")
                assert await stranger.find("k") == CHARGED
            await stranger.close()
            await friend.close()
    await bank.close()


def test_the_server_makes_its_key_once_and_for_its_owner_alone(tmp_path) -> None:
    assert api_key_in(tmp_path) == api_key_in(tmp_path) == key_of(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert len(key_of(tmp_path)) > 40


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff"])
async def test_without_a_key_in_its_file_nothing_is_sent(tmp_path, content) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    provider = HttpProvider("http://127.0.0.1:9", 1.0, ApiKey(str(tmp_path / "key")))
    with pytest.raises(ProviderUnavailable, match="API key"):
        await provider.find("k")
    await provider.close()
