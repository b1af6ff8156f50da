"""Makes the messages of the control contracts from processes, breakers and checks."""

from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import fleet_pb2

from souk.admin.process_status import (
    APPLICATION,
    CONTROL_PLANE,
    EMULATOR,
    ENGINE,
    GATEWAY,
    NO_LOG,
    SERVICE,
    SIDECAR,
    SYSTEM,
    View,
    answering,
)
from souk.kernel.clock import MICROSECONDS, Clock
from souk.resilience.breaker.breaker import State
from souk.runtime.calls.breaker_registry import Guard, Mode
from souk.telemetry.health import Check
from souk.telemetry.proc import family_bytes

STATES: dict[State, fleet_pb2.BreakerState.ValueType] = {
    state: fleet_pb2.BreakerState.Value(f"BREAKER_STATE_{state.name}") for state in State
}
MODES: dict[fleet_pb2.BreakerMode.ValueType, Mode] = {
    fleet_pb2.BreakerMode.Value(f"BREAKER_MODE_{mode.name}"): mode for mode in Mode
}
MODE_NUMBERS = {mode: number for number, mode in MODES.items()}
KINDS: dict[str, fleet_pb2.ProcessKind.ValueType] = {
    kind: fleet_pb2.ProcessKind.Value(f"PROCESS_KIND_{kind.upper().replace(' ', '_')}")
    for kind in (SERVICE, GATEWAY, EMULATOR, ENGINE, SYSTEM, APPLICATION, SIDECAR, CONTROL_PLANE)
}


def process(view: View, status: fleet_pb2.GetStatusResponse | None) -> fleet_pb2.FleetProcess:
    """Makes the message of a process from its supervisor's view and, if it answers, from its own status."""
    return fleet_pb2.FleetProcess(
        service=view.service,
        instance=view.instance,
        kind=KINDS[view.kind],
        state=view.state,
        pid=view.pid or 0,
        address=view.address,
        restarts=view.restarts,
        started_at=timestamp(view.started_at) if view.started_at else None,
        why=view.why,
        version=view.version,
        log="" if view.log == NO_LOG else str(view.log),
        status=status,
        resident_bytes=family_bytes(view.pid) if view.pid else 0,
        control=view.control if answering(view) else "",
        isolated=view.isolated,
        not_isolated=view.not_isolated,
        egress=view.egress,
    )


def breaker_status(guard: Guard, process: str, began: float, clock: Clock) -> fleet_pb2.BreakerStatus:
    """Makes the message of a breaker of `process`, which began at `began` in seconds of the monotonic clock."""
    now = clock.monotonic()
    snapshot = guard.breaker.snapshot(now)
    return fleet_pb2.BreakerStatus(
        process=process,
        caller=guard.caller,
        callee=guard.callee,
        method=guard.method,
        state=STATES[snapshot.state],
        calls=snapshot.calls,
        failed=snapshot.failed,
        slow=snapshot.slow,
        failure_rate=snapshot.failure_rate,
        refused=snapshot.refused,
        since=_date(began if snapshot.since is None else snapshot.since, clock),
        until=None if snapshot.until is None else _date(snapshot.until, clock),
    )


def health_check(check: Check) -> fleet_pb2.HealthCheck:
    """Makes the message of a check of a dependency."""
    return fleet_pb2.HealthCheck(
        name=check.name, well=check.well, since=timestamp(check.since), detail=check.detail, blocks=check.blocks
    )


def timestamp(microseconds: int) -> Timestamp:
    """Makes a Timestamp of a time of `Clock.now`, in microseconds since 1970."""
    found = Timestamp()
    found.FromMicroseconds(microseconds)
    return found


def _date(at: float, clock: Clock) -> Timestamp:
    return timestamp(clock.now() + round((at - clock.monotonic()) * MICROSECONDS))
