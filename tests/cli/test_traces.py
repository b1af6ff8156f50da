"""`souk traces`: what the console has gathered, also of a system that does not run."""

import json
from pathlib import Path

import pytest

from souk.console.telemetry.store.telemetry_store import TelemetryStore
from souk.runtime.config.console import ConsoleSettings
from souk.testing.clocks import FakeClock
from souk.testing.processes import Ended, run
from tests.console.telemetry.made import NOW, batch, span, trace


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    folder = tmp_path / "console"
    folder.mkdir()
    store = TelemetryStore(folder, ConsoleSettings(), FakeClock(now=NOW), "gateway-1")
    spans = [
        span(1, 1, 0, "gateway", "POST /orders", took=50_000),
        span(1, 2, 1, "order", "PlaceOrder", began=5_000, took=40_000, attributes='{"souk.saga":"ORD-1"}'),
        span(1, 3, 2, "payment", "Charge", began=10_000, took=1_000, error="UNAVAILABLE"),
        span(2, 1, 0, "gateway", "POST /orders", began=1_000_000, took=90_000),
        span(2, 2, 1, "order", "PlaceOrder", began=1_005_000, took=80_000),
    ]
    assert await store.write(batch(*spans), "first")
    await store.close()
    return tmp_path


async def souk(data: Path, *arguments: str) -> Ended:
    return await run("traces", *arguments, "--data", str(data))


async def test_they_are_listed_the_newest_first(data: Path) -> None:
    ended = await souk(data)
    assert ended.status == 0, ended.err
    head, newest, oldest = ended.out.splitlines()
    assert head.split()[:3] == ["began", "took", "spans"]
    assert trace(2) in newest
    assert "90.0 ms" in newest
    assert trace(1) in oldest
    assert oldest.endswith("gateway: POST /orders")


async def test_some_are_found(data: Path) -> None:
    ended = await souk(data, "--text", "ORD-1", "--errors", "--json")
    (found,) = json.loads(ended.out)
    assert (found["trace_id"], found["spans"], found["errors"]) == (trace(1), 3, 1)
    nothing = await souk(data, "--service", "nobody")
    assert (nothing.status, nothing.out) == (
        0,
        "no such trace is kept; `souk traces` without options lists the newest\n",
    )


async def test_one_is_drawn_as_a_tree(data: Path) -> None:
    ended = await run("traces", "show", trace(1)[:32], "--data", str(data))
    head, counted, *lines = ended.out.splitlines()
    assert (trace(1) in head, counted) == (True, "3 spans, 1 failed; * is on the critical path, ! has failed")
    assert [line[:3].strip() for line in lines] == ["*", "*", "*!"]
    assert lines[2][3:].startswith("    payment: Charge")
    assert lines[2].endswith("UNAVAILABLE")


async def test_two_are_compared(data: Path) -> None:
    ended = await run("traces", "compare", trace(1), trace(2), "--json", "--data", str(data))
    found = {one["name"]: one["difference"] for one in json.loads(ended.out)}
    assert found == {"Charge": "missing", "PlaceOrder": "slower", "POST /orders": "slower"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "beef"), "there is no trace beef; `souk traces` lists those that are kept"),
        (("--attribute", "nothing"), "must read like http.route=/api/v1/orders"),
        (("--since", "yesterday"), "must read like 10m (ago)"),
    ],
)
async def test_what_cannot_be_answered_says_what_to_do(data: Path, arguments: tuple[str, ...], says: str) -> None:
    ended = await run("traces", *arguments, "--data", str(data))
    assert ended.status != 0
    assert says in ended.err


async def test_without_anything_gathered_it_says_so(tmp_path: Path) -> None:
    ended = await souk(tmp_path)
    assert ended.status == 1
    assert ended.err.startswith("souk: nothing has been gathered yet: there is no "), ended.err
