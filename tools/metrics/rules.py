"""The rules and alerts for Prometheus. Those on objectives use several windows and burn rates.

Source: "The Site Reliability Workbook", chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
"""

from dataclasses import dataclass
from typing import Any

WATCHING = 'route!~"/healthz|/readyz|/metrics"'
"""Leaves out what monitoring asks for."""
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective: `bad` of `all` requests may be bad, as rates over WINDOW; the rest is the budget of 30 days."""

    name: str
    budget: float
    bad: str
    all: str
    says: str


@dataclass(frozen=True, slots=True)
class BurnRate:
    """An alert when the budget is used `factor` times as fast as it may, over a long window and still over a short."""

    factor: float
    long: str
    short: str
    severity: str
    spent: str


BURN_RATES = (
    BurnRate(14.4, "1h", "5m", "page", "2 % of the budget of 30 days in an hour"),
    BurnRate(6, "6h", "30m", "page", "5 % of the budget of 30 days in 6 hours"),
    BurnRate(3, "1d", "2h", "ticket", "10 % of the budget of 30 days in a day"),
    BurnRate(1, "3d", "6h", "ticket", "10 % of the budget of 30 days in 3 days"),
)
_REQUESTS = f"sum(rate(souk_gateway_request_seconds_count{{{WATCHING}}}[WINDOW]))"
_CALLS = "sum by (callee) (rate(souk_call_seconds_count[WINDOW]))"
OBJECTIVES = (
    Objective(
        "gateway_errors",
        0.001,
        f'sum(rate(souk_gateway_request_seconds_count{{{WATCHING}, status=~"5.."}}[WINDOW]))',
        _REQUESTS,
        "requests at the gateway fail (5xx)",
    ),
    Objective(
        "gateway_slow",
        0.01,
        f'{_REQUESTS} - sum(rate(souk_gateway_request_seconds_bucket{{{WATCHING}, le="1.0"}}[WINDOW]))',
        _REQUESTS,
        "requests at the gateway take longer than a second",
    ),
    Objective(
        "call_errors",
        0.001,
        'sum by (callee) (rate(souk_call_seconds_count{outcome=~"not sent|unknown"}[WINDOW]))',
        _CALLS,
        "calls to {{ $labels.callee }} fail",
    ),
)

_OTHERS: tuple[tuple[str, str, str, str, str], ...] = (
    ("ProcessDown", "up == 0", "1m", "page", "{{ $labels.process }} at {{ $labels.instance }} does not answer"),
    (
        "BreakerOpen",
        'max by (caller, callee) (souk_breaker_state{state=~"open|forced_open"}) == 1',
        "1m",
        "page",
        "{{ $labels.caller }} does not call {{ $labels.callee }}: its breaker is open",
    ),
    (
        "SagaParked",
        'max by (service, saga) (souk_saga_runs{phase="parked"}) > 0',
        "1m",
        "ticket",
        "{{ $labels.saga }} of {{ $labels.service }} waits for an operator: souk saga list --state stuck",
    ),
    (
        "EventsParked",
        'max by (service, consumer) (souk_outbox_events{state="parked"}) > 0',
        "1m",
        "ticket",
        "events of {{ $labels.service }} for {{ $labels.consumer }} wait for an operator: souk parked",
    ),
    (
        "OutboxLate",
        "max by (service, consumer) (souk_outbox_lag_seconds) > 60",
        "2m",
        "page",
        "events of {{ $labels.service }} for {{ $labels.consumer }} are late",
    ),
    (
        "BrokerLate",
        "sum by (consumer, topic) (souk_broker_events) > 10000",
        "5m",
        "ticket",
        "{{ $labels.consumer }} does not keep up with {{ $labels.topic }}",
    ),
    (
        "BulkheadFull",
        "sum by (caller, callee) (rate(souk_bulkhead_refused_total[5m])) > 0",
        "1m",
        "page",
        "calls of {{ $labels.caller }} to {{ $labels.callee }} are refused, as too many wait",
    ),
    (
        "RetryBudgetEmpty",
        'sum by (caller, callee) (rate(souk_call_retries_total{outcome="refused"}[5m])) > 0',
        "5m",
        "ticket",
        "{{ $labels.caller }} may not try calls to {{ $labels.callee }} again: too many fail",
    ),
    (
        "InstancesEjected",
        'max by (caller, callee) (souk_balancer_instances{state="ejected"}) > 0',
        "2m",
        "ticket",
        "{{ $labels.caller }} leaves out instances of {{ $labels.callee }} that fail",
    ),
    (
        "ConnectionsExhausted",
        'min by (service, process) (souk_store_connections{state="most"} - ignoring (state) '
        'souk_store_connections{state="busy"}) <= 0',
        "2m",
        "page",
        "all connections of {{ $labels.process }} to its database are busy",
    ),
    (
        "EventLoopLate",
        "histogram_quantile(0.99, sum by (process, le) (rate(souk_event_loop_lag_seconds_bucket[5m]))) > 0.25",
        "5m",
        "ticket",
        "the event loop of {{ $labels.process }} is late: it does too much, or something blocks it",
    ),
    (
        "RegistryAway",
        "max by (process) (souk_discovery_registry_away) == 1",
        "2m",
        "page",
        "{{ $labels.process }} cannot reach the registry",
    ),
    (
        "ClockOff",
        "max by (process, against) (abs(souk_clock_skew_seconds)) > 5",
        "2m",
        "ticket",
        "the clock of {{ $labels.process }} differs from {{ $labels.against }}",
    ),
    (
        "LabelsFolded",
        "sum by (metric) (rate(souk_metrics_folded_total[1h])) > 0",
        "5m",
        "ticket",
        "{{ $labels.metric }} has too many series: the rest is counted as `other`",
    ),
    (
        "MoneyDiffers",
        "max(souk_order_open_lost_charges) > 0 or max(souk_payment_open_differences) > 0 "
        "or max(souk_payment_failed_refunds) > 0",
        "5m",
        "page",
        "money was taken or not given back, and nothing repairs it by itself: the log names each",
    ),
)


def rules() -> dict[str, Any]:
    """Makes the content of the rules file."""
    recorded = [_ratio(one, window) for one in OBJECTIVES for window in WINDOWS]
    burning = [_burning(one, rate) for one in OBJECTIVES for rate in BURN_RATES]
    others = [_alert(*one) for one in _OTHERS]
    return {
        "groups": [
            {"name": "souk objectives", "interval": "30s", "rules": recorded},
            {"name": "souk burn rates", "rules": burning},
            {"name": "souk", "rules": others},
        ]
    }


def _ratio(one: Objective, window: str) -> dict[str, Any]:
    bad, every = one.bad.replace("WINDOW", window), one.all.replace("WINDOW", window)
    return {"record": f"souk:{one.name}:ratio_rate{window}", "expr": f"({bad}) / ({every})"}


def _burning(one: Objective, rate: BurnRate) -> dict[str, Any]:
    limit = f"{rate.factor:g} * {one.budget:g}"
    long, short = (f"souk:{one.name}:ratio_rate{window}" for window in (rate.long, rate.short))
    name = "".join(word.capitalize() for word in one.name.split("_"))
    made = _alert(
        f"{name}Burn", f"{long} > {limit} and {short} > {limit}", "", rate.severity, f"{one.says}: {rate.spent}"
    )
    made["labels"]["window"] = rate.long
    return made


def _alert(name: str, expr: str, wait: str, severity: str, says: str) -> dict[str, Any]:
    made: dict[str, Any] = {"alert": f"Souk{name}", "expr": expr}
    if wait:
        made["for"] = wait
    return {**made, "labels": {"severity": severity}, "annotations": {"summary": says}}
