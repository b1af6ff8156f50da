"""A dashboard for Grafana: the golden signals by service and method, then a panel for every other metric.

A metric of the registry that no panel asks for gets one by its type, so that none is forgotten.
"""

from collections.abc import Sequence
from typing import Any

from catalogue import ShownMetric
from promql import names

_RATE = "[$__rate_interval]"
_HALF, _HEIGHT = 12, 8
_SIGNALS: tuple[tuple[str, str, str, str], ...] = (
    ("Requests by status", f"sum by (status) (rate(souk_gateway_request_seconds_count{_RATE}))", "{{status}}", "reqps"),
    (
        "Requests: 99th percentile",
        f"histogram_quantile(0.99, sum by (le) (rate(souk_gateway_request_seconds_bucket{_RATE})))",
        "99 %",
        "s",
    ),
    (
        "Errors by service",
        f'sum by (callee) (rate(souk_call_seconds_count{{outcome=~"not sent|unknown"}}{_RATE}))',
        "{{callee}}",
        "reqps",
    ),
    ("Calls by service", f"sum by (callee) (rate(souk_call_seconds_count{_RATE}))", "{{callee}}", "reqps"),
    (
        "Calls by method: 99th percentile",
        f"histogram_quantile(0.99, sum by (callee, method, le) (rate(souk_call_seconds_bucket{_RATE})))",
        "{{callee}} {{method}}",
        "s",
    ),
    ("Requests that run", "sum by (process) (souk_gateway_running)", "{{process}}", "short"),
    (
        "Event loop: 99th percentile of its lag",
        f"histogram_quantile(0.99, sum by (process, le) (rate(souk_event_loop_lag_seconds_bucket{_RATE})))",
        "{{process}}",
        "s",
    ),
    ("Memory", "sum by (process) (process_resident_memory_bytes)", "{{process}}", "bytes"),
    ("CPU", f"sum by (process) (rate(process_cpu_seconds_total{_RATE}))", "{{process}}", "percentunit"),
)


def dashboard(metrics: Sequence[ShownMetric]) -> dict[str, Any]:
    """Makes the content of the dashboard's file."""
    panels: list[dict[str, Any]] = []
    asked: set[str] = set()
    for title, expr, legend, unit in _SIGNALS:
        asked |= names(expr)[0]
        _add_panel(panels, _panel(title, expr, legend, unit))
    for one in metrics:
        if not asked & set(one.series):
            _add_panel(panels, _of(one))
    return {
        "title": "Souk",
        "uid": "souk",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "tags": ["souk"],
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }


def _of(one: ShownMetric) -> dict[str, Any]:
    by = ", ".join(one.labels) or "process"
    legend = " ".join(f"{{{{{label}}}}}" for label in (one.labels or ("process",)))
    unit = "s" if one.name.endswith("_seconds") else "bytes" if one.name.endswith("_bytes") else "short"
    if one.type == "histogram":
        expr = f"histogram_quantile(0.99, sum by ({by}, le) (rate({one.name}_bucket{_RATE})))"
    elif one.type == "counter":
        expr, unit = f"sum by ({by}) (rate({one.name}{_RATE}))", "ops"
    else:
        expr = f"max by ({by}) ({one.name})"
    return _panel(one.name, expr, legend, unit, one.help)


def _panel(title: str, expr: str, legend: str, unit: str, about: str = "") -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": "A", "datasource": source, "expr": expr, "legendFormat": legend, "exemplar": "_bucket" in expr}
        ],
    }


def _add_panel(panels: list[dict[str, Any]], panel: dict[str, Any]) -> None:
    number = len(panels)
    panel["id"] = number + 1
    panel["gridPos"] = {"x": number % 2 * _HALF, "y": number // 2 * _HEIGHT, "w": _HALF, "h": _HEIGHT}
    panels.append(panel)
