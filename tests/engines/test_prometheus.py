"""Prometheus scrapes a running system: what it shows is what the documents say, and an alert fires when it breaks."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from souk.testing.processes import run
from souk.testing.servers.prometheus import PrometheusServer
from souk.testing.system import MODES, System
from tests.market.shop import Shop

pytestmark = pytest.mark.engines

ROOT = Path(__file__).resolve().parents[2]
DEPLOYED = ROOT / "deploy" / "observability"
PATIENCE = 120.0
T = TypeVar("T")


def awaited(ask: Callable[[], T]) -> T:
    ends = time.monotonic() + PATIENCE
    while not (found := ask()):
        assert time.monotonic() < ends, "Prometheus does not show it"
        time.sleep(0.2)
    return found


def documented() -> dict[str, set[str]]:
    rows = [
        line.split("|")
        for line in (ROOT / "docs" / "metrics.md").read_text().splitlines()
        if line.startswith("| `souk_")
    ]
    return {row[1].strip(" `"): {label.strip(" `") for label in row[3].split(",") if label.strip()} for row in rows}


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    promtool = PrometheusServer(tmp_path, DEPLOYED).promtool
    for command in (
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules.test.yml"),
        ("check", "config", "prometheus.yml"),
    ):
        done = subprocess.run((promtool, *command), cwd=DEPLOYED, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("mode", ["embedded", "fleet"])
async def test_what_prometheus_shows(mode: str, tmp_path: Path) -> None:
    settings = {"SOUK_METRICS_PORT": "0"}
    system_of = MODES[mode]
    with (
        PrometheusServer(tmp_path / "prometheus", DEPLOYED) as prometheus,
        system_of(tmp_path, settings=settings) as system,
    ):
        found = await run("ps", "--targets", "--data", str(system.data))
        targets = json.loads(found.out)
        await prometheus.start()
        prometheus.targets.write_text(found.out)
        used(system)
        awaited(lambda: len(up(prometheus)) == len(targets) and set(up(prometheus).values()) == {"up"})
        assert len({one["labels"]["process"] for one in targets}) == len(targets) == (8 if mode == "fleet" else 1)
        awaited(lambda: exemplars(prometheus))
        shown_is_documented(prometheus)
        names = {rule["name"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]}
        assert {"SoukGatewayErrorsBurn", "souk:gateway_errors:ratio_rate5m", "SoukBreakerOpen"} <= names
        assert firing(prometheus) == set()
        assert (await run("breakers", "--force", "product=open", "--data", str(system.data))).status == 0
        assert httpx.get(f"{system.url}/api/v1/products", trust_env=False).status_code == 503
        awaited(lambda: {"SoukGatewayErrorsBurn", "SoukBreakerOpen"} <= hit(system, prometheus))
        await prometheus.stop()


def used(system: System) -> None:
    shop = Shop(system.mode, system.url, system.data)
    buyer, product = shop.buyer(), shop.product()
    assert buyer.post("/api/v1/orders", json=buyer.wish((product, 1, 1_200))).status_code == 201
    shop.close()


def up(prometheus: PrometheusServer) -> dict[str, str]:
    return {one["labels"]["process"]: one["health"] for one in prometheus.get("targets")["activeTargets"]}


def exemplars(prometheus: PrometheusServer) -> list[str]:
    now = time.time()
    found = []
    for name in ("souk_gateway_request_seconds_bucket", "souk_call_seconds_bucket"):
        series = prometheus.get("query_exemplars", query=name, start=str(now - 600), end=str(now + 60))
        traces = [one["labels"]["trace_id"] for each in series for one in each["exemplars"]]
        if not traces:
            return []
        found += traces
    assert all(len(one) == 32 for one in found)
    return found


def firing(prometheus: PrometheusServer) -> set[str]:
    return {one["labels"]["alertname"] for one in prometheus.get("alerts")["alerts"] if one["state"] == "firing"}


def hit(system: System, prometheus: PrometheusServer) -> set[str]:
    httpx.get(f"{system.url}/api/v1/products", trust_env=False)
    return firing(prometheus)


def shown_is_documented(prometheus: PrometheusServer) -> None:
    known, shown = documented(), set()
    for series in prometheus.get("series", **{"match[]": '{__name__=~"souk_.+"}'}):
        name = series.pop("__name__")
        base = next(
            (name.removesuffix(end) for end in ("_bucket", "_sum", "_count") if name.removesuffix(end) in known), name
        )
        assert base in known, name
        assert set(series) - {"job", "instance", "process", "le"} <= known[base], series
        shown.add(base)
    assert {
        "souk_call_seconds",
        "souk_event_loop_lag_seconds",
        "souk_inventory_open_reservations",
        "souk_saga_runs",
    } <= shown | {"souk_saga_runs"}
