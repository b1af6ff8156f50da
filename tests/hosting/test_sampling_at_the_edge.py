"""Whose word counts on what is recorded: clients of a whole system, of which one is a trusted proxy."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from souk.hosting.monolith import monolith
from souk.kernel.clock import SystemClock
from souk.runtime.config.environment import read
from souk.testing.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.hosting.test_mistakes import Service, app, build, contract

GREETING = Service("greeting", contract(), build)
PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
TRACES = {address: f"{number:032x}" for number, address in ((1, PROXY), (2, STRANGER))}


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@asynccontextmanager
async def system(tmp_path: Path, given: dict[str, str]) -> AsyncIterator[str]:
    variables = {**given, "SOUK_TRUSTED_PROXIES": PROXY, "SOUK_TRACE_TAIL": "false", "SOUK_CONSOLE": "false"}
    chosen = {"data": tmp_path / "data", "port": 0, "demo": True}
    async with monolith(app(GREETING), read(variables, chosen), SystemClock()) as running:
        yield running.url


async def flag(url: str, address: str, sent: str) -> str:
    """Sends a request from an address, with a decision; gives the decision in the answer, whose trace is the same."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:
        given = f"00-{TRACES[address]}-{'b' * 16}-{sent}"
        answer = await client.get(f"{url}/api/v1/greetings", headers={"traceparent": given})
    assert answer.headers["traceparent"][3:35] == TRACES[address]
    return answer.headers["traceparent"][-2:]


@pytest.mark.parametrize(
    ("sampler", "sent", "of_strangers"),
    [
        ("parentbased_always_off", "01", "00"),
        ("parentbased_always_on", "00", "01"),
        ("always_off", "01", "00"),
        ("always_on", "00", "01"),
    ],
)
async def test_the_word_of_a_trusted_proxy_alone_counts(
    tmp_path: Path, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, sampler: str, sent: str, of_strangers: str
) -> None:
    receiver.spans.clear()
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": sampler,
    }
    for name, text in given.items():  # the exporters read their own
        monkeypatch.setenv(name, text)
    of_proxies = sent if sampler.startswith("parentbased_") else of_strangers
    async with system(tmp_path, given) as url:
        assert await flag(url, PROXY, sent) == of_proxies
        assert await flag(url, STRANGER, sent) == of_strangers
    recorded = {(one.trace_id, one.parent_id) for one in receiver.spans if one.service == "gateway"}
    expected = {PROXY: of_proxies, STRANGER: of_strangers}
    assert recorded == {(TRACES[address], "b" * 16) for address, decided in expected.items() if decided == "01"}
