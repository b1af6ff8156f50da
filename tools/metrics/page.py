"""The page docs/metrics.md: every metric with its labels, from the code that makes it."""

from collections.abc import Sequence
from itertools import groupby

from catalogue import ShownMetric

LABELS = {
    "against": "a clock that is compared: of a database, or of a service in other processes",
    "backend": "who answered a search: `engine` or `database`",
    "cache": "a cache, by its service",
    "callee": "the service that is called, or SERVICE/METHOD",
    "caller": "the service that calls, or `gateway`",
    "code": "the code of a refusal, one of those that the contracts and the gateway have",
    "consumer": "SERVICE/NAME of a consumer of events, one of those that the contracts name",
    "kind": "a kind, one of a fixed list",
    "method": "a method of a contract; at a gateway a method of HTTP, empty for one that is not known",
    "metric": "a metric with labels",
    "name": "a process of the fleet, or the id of one of the two roots",
    "outcome": "how it ended, one of a fixed list",
    "phase": "the phase of a saga: running, compensating, parked and so on",
    "policy": "a rate limit, one of those that are configured",
    "priority": "what goes on first: low, normal or high",
    "reason": "why the database had to answer a search, one of a fixed list",
    "result": "a result, one of a fixed list",
    "route": "a route of a contract with its placeholders, or the name of a rule of the routes file",
    "saga": "a saga, by its name in the code",
    "service": "a service of the app",
    "state": "a state, one of a fixed list",
    "status": "the status of an HTTP answer",
    "topic": "a topic of the broker, one for each contract",
    "type": "a type of resource of a sidecar, one of a fixed list",
    "upstream": "an upstream of the routes file",
    "when_away": "what a policy says for the time without Redis: `local`, `open` or `closed`",
    "why": "the check that failed, one of a fixed list",
}
"""All labels that a metric may have. Each has few values, and none is a text that a client chose."""
INTRODUCTION = """# Metrics

A process shows its metrics to Prometheus at `/metrics` of a port on loopback (or at `SOUK_METRICS_HOST`), with
`SOUK_METRICS_PORT` (0 for any free one; `souk ps --json` says which); the gateway of a system with demo data also at
its own port. They are in Prometheus' text format, or in OpenMetrics if `Accept` prefers that: then histograms have
exemplars, the last recorded trace of each bucket (`trace_id`), so that a slow request is one click away from its trace
([tracing.md](tracing.md)).

The four golden signals of a service and its methods are in one histogram, `souk_call_seconds`: latency; traffic by
its count; errors by `outcome` (`done`, `refused` as the contract lists it, `not sent`, `unknown`); saturation is in
`souk_bulkhead_calls`, `souk_store_connections`, `souk_gateway_running` and `souk_event_loop_lag_seconds`.
[deploy/observability](../deploy/observability/README.md) has rules, alerts and a dashboard for them.

Units are seconds and bytes, and a counter ends in `_total`. A metric has at most 2,000 sets of label values in a
process: what is more is counted under `other`, and `souk_metrics_folded_total` says so
([0112](decisions/0112-labels-have-limits.md)). Metrics of Python and of the process (`process_*`, `python_*`) are
those of `prometheus_client`. `make metrics` writes this page from the code.
"""


def page(found: Sequence[ShownMetric]) -> str:
    """Makes the text of the page."""
    parts = [INTRODUCTION]
    for where, metrics in groupby(found, key=lambda one: one.where):
        head = f"The service {where}" if " " not in where else where[0].upper() + where[1:]
        rows = [_row(one) for one in metrics]
        parts += [f"## {head}", "\n".join(("| metric | type | labels | meaning |", "|---|---|---|---|", *rows)) + "\n"]
    used = sorted({label for one in found for label in one.labels})
    rows = [f"| `{label}` | {LABELS[label]} |" for label in used]
    parts += ["## Labels", "\n".join(("| label | values |", "|---|---|", *rows)) + "\n"]
    return "\n".join(parts)


def _row(one: ShownMetric) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.type} | {labels} | {one.help} |"
