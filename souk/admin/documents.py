"""What operators see of processes and breakers, as JSON: the same for the commands and for the console."""

from collections.abc import Iterable, Sequence
from typing import Any

from soukapi.v1 import fleet_pb2

_KIND = "PROCESS_KIND_"
_STATE = "BREAKER_STATE_"
_ANSWERING = (fleet_pb2.PROCESS_KIND_SERVICE, fleet_pb2.PROCESS_KIND_GATEWAY, fleet_pb2.PROCESS_KIND_SYSTEM)


def process_document(process: fleet_pb2.FleetProcess) -> dict[str, Any]:
    """Gives a process as JSON, for programs; `status` is null when the process does not answer."""
    return {
        "service": process.service,
        "instance": process.instance,
        "kind": fleet_pb2.ProcessKind.Name(process.kind).removeprefix(_KIND).lower(),
        "state": process.state,
        "pid": process.pid or None,
        "address": process.address,
        "restarts": process.restarts,
        "started_at": process.started_at.ToJsonString() if process.HasField("started_at") else None,
        "why": process.why,
        "version": process.version,
        "log": process.log,
        "resident_bytes": process.resident_bytes,
        "isolation": isolation(process) or None,
        "not_isolated": process.not_isolated,
        "egress": list(process.egress),
        "application": _application(process.application) if process.HasField("application") else None,
        "status": _status(process.status) if process.HasField("status") else None,
    }


def isolation(process: fleet_pb2.FleetProcess) -> str:
    """Says how a process of a mesh is kept apart: `network namespace` or `none`; "" without a mesh."""
    return "network namespace" if process.isolated else "none" if process.not_isolated else ""


def isolation_lines(processes: Iterable[fleet_pb2.FleetProcess]) -> list[str]:
    """Says which processes of a mesh are isolated, why others are not, and what those reach; nothing without a mesh."""
    of_mesh = [one for one in processes if isolation(one) and one.kind in _ANSWERING]
    reasons: dict[str, list[str]] = {}
    for one in of_mesh:
        reasons.setdefault(one.not_isolated, []).append(one.instance)
    isolated = reasons.pop("", [])
    lines = ["isolation: network namespaces"] if isolated else []
    for reason, names in reasons.items():
        who = f" for {', '.join(names)}" if len(names) < len(of_mesh) else ""
        lines.append(f"isolation: none{who}: {reason}")
    return lines + _egress_lines([one for one in of_mesh if one.isolated])


def _egress_lines(isolated: Sequence[fleet_pb2.FleetProcess]) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in isolated:
        groups.setdefault(tuple(one.egress), []).append(one.instance)
    groups.pop((), None)
    return [f"egress of {', '.join(names)}: {', '.join(reached)}" for reached, names in groups.items()]


def _application(one: fleet_pb2.AdoptedApplication) -> dict[str, Any]:
    return {
        "source": one.source,
        "prefix": one.prefix,
        "access": one.access,
        "rate_class": one.rate_class,
        "routed": one.routed,
    }


def _status(status: fleet_pb2.GetStatusResponse) -> dict[str, Any]:
    return {
        "version": status.version,
        "zone": status.zone,
        "weight": status.weight,
        "uptime_seconds": round(status.uptime.ToTimedelta().total_seconds(), 3),
        "requests_served": status.requests_served,
        "requests_in_flight": status.requests_in_flight,
        "requests_per_second": round(status.requests_per_second, 3),
        "resident_bytes": status.resident_bytes,
        "registry_away": status.registry_away,
        "metrics_address": status.metrics_address,
        "checks": [_check(check) for check in status.checks],
    }


def _check(check: fleet_pb2.HealthCheck) -> dict[str, Any]:
    return {
        "name": check.name,
        "state": "ok" if check.well else "failing",
        "since": check.since.ToJsonString(),
        "detail": check.detail,
        "blocks": check.blocks,
    }


def process_note(process: fleet_pb2.FleetProcess) -> str:
    """Says what is to be known of a process in a line: why it is not ready, or what is wrong with it; else empty."""
    if process.why:
        return process.why
    if process.HasField("application"):
        return process.application.source
    wrong = [_failing(check) for check in process.status.checks if not check.well]
    if process.status.registry_away:
        wrong.append(f"uses the last known instances: {process.status.registry_away}")
    if wrong:
        return "; ".join(wrong)
    silent = process.state == "ready" and process.kind in _ANSWERING and not process.HasField("status")
    return "does not answer" if silent else ""


def _failing(check: fleet_pb2.HealthCheck) -> str:
    return f"{check.name}: {check.detail}, since {check.since.ToDatetime():%H:%M:%S} UTC"


def breaker_state(breaker: fleet_pb2.BreakerStatus) -> str:
    """Gives the state of a breaker in words, such as `half open`."""
    return fleet_pb2.BreakerState.Name(breaker.state).removeprefix(_STATE).lower().replace("_", " ")


def breaker_document(breaker: fleet_pb2.BreakerStatus) -> dict[str, Any]:
    """Gives a breaker as JSON, for programs; `failure_rate` is null while there are too few calls."""
    return {
        "process": breaker.process,
        "caller": breaker.caller,
        "callee": breaker.callee,
        "method": breaker.method,
        "state": breaker_state(breaker),
        "calls": breaker.calls,
        "failed": breaker.failed,
        "slow": breaker.slow,
        "failure_rate": breaker.failure_rate if breaker.HasField("failure_rate") else None,
        "refused": breaker.refused,
        "since": breaker.since.ToJsonString(),
        "until": breaker.until.ToJsonString() if breaker.HasField("until") else None,
        "operator": breaker.operator,
        "why": breaker.why,
    }
