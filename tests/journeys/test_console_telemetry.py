"""The console's pages of traces, calls and metrics, from outside, in every mode."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from souk.testing.processes import PATIENCE
from souk.testing.system import SUPERVISED
from tests.market.console_browser import ConsoleBrowser
from tests.market.shop import Shop

ORDERS = "/console/traces?operation=POST%20/api/v1/orders"


@pytest.fixture
def admin(shop: Shop) -> Iterator[ConsoleBrowser]:
    if shop.mode not in SUPERVISED:
        pytest.skip("processes that are started one by one have no private socket that names them")
    with ConsoleBrowser(shop.url) as browser:
        assert browser.log_in().status_code == 303
        yield browser


def data(admin: ConsoleBrowser, path: str) -> Any:
    answer = admin.get(path, accept="application/json")
    if answer.status_code == 503:  # nothing has been gathered yet
        return []
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.fixture
def traces(admin: ConsoleBrowser, shop: Shop) -> list[str]:
    """The ids of two traces of orders, those with most spans first."""
    buyer, product = shop.buyer(), shop.product(stock=1_000)
    end = time.monotonic() + PATIENCE
    while True:
        found = sorted(data(admin, ORDERS), key=lambda one: -one["spans"])
        if len(found) >= 2 and found[1]["spans"] >= 15:
            return [one["trace_id"] for one in found]
        assert time.monotonic() < end, found
        buyer.buy((product, 1, 1_200))
        time.sleep(0.5)


def page(admin: ConsoleBrowser, path: str) -> str:
    answer = admin.get(path)
    assert answer.status_code == 200, answer.text
    for tag in re.findall(r"<[a-z][^>]*>", answer.text):
        assert not re.search(r"\s(style|on[a-z]+)=", tag), f"the policy forbids {tag}"
    return answer.text


def of_one_moment(admin: ConsoleBrowser, read: Callable[[], Any], *paths: str) -> tuple[Any, list[str]]:
    """Reads data, and pages that are made from it; again while spans still come in between."""
    end = time.monotonic() + PATIENCE
    while True:
        found = read()
        shown = [page(admin, path) for path in paths]
        if read() == found:
            return found, shown
        assert time.monotonic() < end, "the spans of a trace come within seconds"


def test_an_order_is_shown_as_a_tree_and_compared_with_another(admin: ConsoleBrowser, traces: list[str]) -> None:
    first, second, *_ = traces
    assert first in page(admin, ORDERS)
    path = f"/console/traces/{first}"
    one_span = f"{path}?span={data(admin, path)['spans'][3]['span_id']}"
    spans, (shown, on_path) = of_one_moment(admin, lambda: data(admin, path)["spans"], one_span, f"{path}?view=path")
    assert {"gateway", "order", "inventory", "payment"} <= {one["service"] for one in spans}
    assert spans[0]["depth"] == 0
    assert sum(one["on_critical_path"] for one in spans) == spans[0]["took"]
    assert shown.count('<rect class="span"') == len(spans)
    assert "Began after" in shown
    assert on_path.count('<rect class="span"') == sum(one["on_critical_path"] > 0 for one in spans)
    assert "POST /api/v1/orders" in page(admin, f"/console/traces/compare?id={first}&id={second}")
    operations = data(admin, f"/console/traces/compare?id={first}&id={first}")
    assert {one["difference"] for one in operations} == {"alike"}


def test_the_spans_of_an_order_are_under_its_records(admin: ConsoleBrowser, shop: Shop) -> None:
    buyer, product = shop.buyer(), shop.product(stock=1_000)
    end, found = time.monotonic() + PATIENCE, dict[str, Any]()
    while not found.get("traces") or len(found["traces"][0]["spans"]) < 15:
        assert time.monotonic() < end, found
        path = f"/console/orders/{buyer.buy((product, 1, 1_200))['id']}"
        time.sleep(3)  # spans are gathered every second; of many traces a share is recorded, so another order is made
        found = spans_of(admin, path)
    middle = found["traces"][0]["began"] + found["traces"][0]["took"] // 2
    found, (shown, then) = of_one_moment(admin, lambda: spans_of(admin, path), path, f"{path}?at={middle}")
    (trace,) = found["traces"]
    assert {"gateway", "order", "inventory", "payment"} <= {one["service"] for one in trace["spans"]}
    assert shown.count('<g class="bar over') == len(trace["spans"])
    assert f'href="/console/traces/{trace["trace_id"]}"' in shown
    assert then.count('<g class="bar later') == sum(trace["began"] + one["offset"] > middle for one in trace["spans"])
    assert '<g class="bar running' in then
    run = f"place-order:{path.rpartition('/')[2]}:1"
    assert f'name="view" value="{run}"' in page(admin, f"{path}?view={run}")


def spans_of(admin: ConsoleBrowser, path: str) -> dict[str, Any]:
    found: dict[str, Any] = admin.get(path, accept="application/json").json()["spans"]
    return found


def test_calls_stand_beside_what_the_contract_promises(admin: ConsoleBrowser, traces: list[str]) -> None:
    end = time.monotonic() + PATIENCE
    found: dict[tuple[str, str, str], Any] = {}
    while ("order", "payment", "Charge") not in found:
        assert time.monotonic() < end, found
        time.sleep(0.5)
        found = {(one["caller"], one["callee"], one["method"]): one for one in data(admin, "/console/calls?minutes=60")}
    charge = found["order", "payment", "Charge"]
    assert charge["rate"] > 0
    assert charge["promised"] == 5.0
    assert 0 < charge["p50"] <= charge["p99"]
    assert "order → payment" in page(admin, "/console/calls?minutes=60")


def test_a_metric_is_a_chart_and_a_table(admin: ConsoleBrowser, traces: list[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not (chart := data(admin, "/console/metrics?name=souk_call_seconds&by=callee")["chart"])["lines"]:
        assert time.monotonic() < end, chart
        time.sleep(0.5)
    assert {"per second", "p50", "p99"} == {one["shows"] for one in chart["lines"]}
    shown = page(admin, "/console/metrics?name=souk_call_seconds&by=callee")
    assert "data-chart=" in shown
    assert '<th scope="row">payment</th>' in shown


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/console/traces/beef", 404, "never recorded, or it has left"),
        ("/console/traces/compare?id=a", 400, "choose two in the list of traces"),
        ("/console/traces?since=yesterday", 400, "is no time"),
        ("/console/traces?slower=-1", 400, "is no number"),
        ("/console/traces?attribute=x", 400, "must read like"),
        ("/console/metrics?name=souk_call_second", 404, "there is no metric"),
        ("/console/calls?minutes=7", 400, "there is no window"),
    ],
)
def test_what_cannot_be_answered_is_said(
    admin: ConsoleBrowser, traces: list[str], path: str, status: int, says: str
) -> None:
    answer = admin.get(path)
    assert (answer.status_code, says in answer.text.lower()) == (status, True), answer.text


def test_a_text_of_a_stranger_stays_a_text(admin: ConsoleBrowser, traces: list[str]) -> None:
    shown = page(admin, "/console/traces?text=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in shown
    assert "No trace matches" in shown


def test_the_log_leads_to_the_trace_and_back(admin: ConsoleBrowser, traces: list[str], shop: Shop) -> None:
    answer = admin.get("/console/logs?level=info", accept="application/json")
    if shop.mode == "embedded" and answer.status_code == 503:
        assert "log" in answer.json()["detail"]  # it writes to standard error, which nobody keeps
        return
    assert answer.status_code == 200, answer.text
    trace = next(one["trace_id"] for one in answer.json() if one.get("trace_id"))
    lines = admin.get(f"/console/logs?trace={trace}", accept="application/json").json()
    assert {one["trace_id"] for one in lines} == {trace}
    assert f'href="/console/traces/{trace}"' in page(admin, f"/console/logs?trace={trace}")
    assert f'href="/console/logs?trace={traces[0]}"' in page(admin, f"/console/traces/{traces[0]}")
    assert "No line matches" in page(admin, "/console/logs?text=%3Cscript%3Enever")


def test_the_map_has_the_calls_of_the_last_minute(admin: ConsoleBrowser, traces: list[str]) -> None:
    end = time.monotonic() + PATIENCE
    edges: dict[tuple[str, str], Any] = {}
    while not edges.get(("order", "payment"), {"rate": 0})["rate"]:
        assert time.monotonic() < end, edges
        time.sleep(0.5)
        graph = admin.get("/console", accept="application/json").json()
        edges = {(one["caller"], one["callee"]): one for one in graph["edges"]}
    charge = edges["order", "payment"]
    assert charge["promise"] in {"good", "warn", "bad"}
    assert 0 < charge["p50"] <= charge["p99"]
    assert "Promise" in page(admin, "/console")


def test_runs_are_listed_and_two_are_compared(admin: ConsoleBrowser, traces: list[str]) -> None:
    (run, *_) = data(admin, "/console/runs")
    assert run["traces"] >= len(traces)
    assert run["name"] in admin.get("/console/runs").text
    both = f"/console/runs/compare?run={run['name']}&run={run['name']}"
    end = time.monotonic() + PATIENCE
    while True:
        found = data(admin, both)
        if {"order", "gateway"} <= {one["service"] for one in found["methods"]} and found["sagas"]:
            break
        assert time.monotonic() < end, "figures are read every five seconds"
        time.sleep(0.2)
    assert {one["difference"] for one in found["methods"]} == {""}
    assert found["sagas"][0]["first"]["went_through"] >= 1
    page = admin.get(both)
    assert page.status_code == 200
    assert "alike" in page.text
    assert admin.get("/console/runs/compare?run=one").status_code == 400
    assert admin.get("/console/runs/compare?run=no&run=such").status_code == 404
