"""What callers' sidecars report of calls to a service with a canary, and what counts as a failure of which release."""

import asyncio
import base64
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from shop.payment.v1 import payment_pb2

from souk.descriptors.contract import contract_of
from souk.kernel.errors import DomainError
from souk.mesh.canary.observations.service import METHOD
from souk.mesh.canary.observations.tries import failed_by_contract, read_try
from souk.mesh.canary.tally import Tally
from souk.mesh.envoy.messages import build
from souk.rpc.status import encode
from souk.testing.probe import probe_pb2
from tests.mesh.canary.two_releases import NEW, OLD, Ending, TwoReleases, make_call, start_data_plane

METHODS = contract_of(payment_pb2.DESCRIPTOR.services_by_name["PaymentService"]).methods
READ = METHODS["/shop.payment.v1.PaymentService/ListOrderCharges"]
CHARGE = METHODS["/shop.payment.v1.PaymentService/Charge"]
PROBE = contract_of(probe_pb2.DESCRIPTOR.services_by_name["Probe"]).methods["/souktest.v1.Probe/Unary"]

ROOT = Path(__file__).resolve().parents[3]
real = pytest.mark.full
loop = pytest.mark.asyncio(loop_scope="module")


async def gained(mesh: TwoReleases, version: str, calls: int, before: dict[str, Tally]) -> tuple[int, int]:
    """Waits until a version has at least so many calls more than before; returns its calls and failures since."""
    start = before.get(version, Tally())
    found = await mesh.tallies(lambda now: now.get(version, Tally()).calls - start.calls >= calls)
    since = found[version].since(start)
    return since.calls, since.failures


def now(mesh: TwoReleases) -> dict[str, Tally]:
    return {version: tally.copy() for version, tally in mesh.observed.tallies("payment").items()}


@real
@loop
async def test_calls_of_a_service_without_a_canary_are_not_reported(mesh: TwoReleases) -> None:
    mesh.plane.split("payment", None)
    await mesh.settled()
    before = now(mesh)
    logged = "access_logs.grpc_access_log.logs_written"
    first = (await mesh.sidecars["order-1"].stats(logged)).get(logged, 0)
    for _ in range(20):
        assert await mesh.call(READ) is None
    assert (await mesh.sidecars["order-1"].stats(logged)).get(logged, 0) == first
    # A call that is reported comes after them.
    await mesh.split(100)
    assert await mesh.call(READ) is None
    assert await gained(mesh, "v2", 1, before) == (1, 0)
    assert (await mesh.sidecars["order-1"].stats(logged))[logged] == first + 1


@real
@loop
async def test_each_try_counts_so_that_retries_hide_nothing(mesh: TwoReleases) -> None:
    await mesh.split(100)
    before, turn = now(mesh), count()
    mesh.apps[NEW].ends = lambda path: Ending(grpc.StatusCode.UNAVAILABLE) if next(turn) % 2 == 0 else None
    for _ in range(10):
        assert await mesh.call(READ) is None
    assert await gained(mesh, "v2", 20, before) == (20, 10)
    assert "" not in now(mesh) or now(mesh)[""].calls == before.get("", Tally()).calls


@real
@loop
async def test_both_releases_are_counted_over_the_same_time(mesh: TwoReleases) -> None:
    await mesh.split(50)
    before = now(mesh)
    mesh.apps[OLD].ends = lambda path: Ending(grpc.StatusCode.INTERNAL)
    for _ in range(60):
        await mesh.call(CHARGE)
    arrived = {name: len(one.arrived) for name, one in mesh.apps.items()}
    assert min(arrived.values()) > 0
    assert await gained(mesh, "", arrived[OLD], before) == (arrived[OLD], arrived[OLD])
    assert await gained(mesh, "v2", arrived[NEW], before) == (arrived[NEW], 0)


@real
@loop
async def test_a_refusal_is_no_failure_whatever_its_status(mesh: TwoReleases) -> None:
    await mesh.split(100)
    before = now(mesh)
    for reason, code in (("PAYMENT_DECLINED", "FAILED_PRECONDITION"), ("PAYMENT_UNAVAILABLE", "UNAVAILABLE")):
        refusal = encode(DomainError(reason, "no"), grpc.StatusCode[code], "payment")
        mesh.apps[NEW].ends = lambda path, code=code, why=refusal: Ending(grpc.StatusCode[code], why)
        for _ in range(5):
            assert await mesh.call(CHARGE, key="k") is not None
    assert await gained(mesh, "v2", 10, before) == (10, 0)


@real
@loop
async def test_copies_are_counted_as_calls_of_the_version(mesh: TwoReleases) -> None:
    await mesh.split(0, mirrored=True)
    before = now(mesh)
    mesh.apps[NEW].ends = lambda path: Ending(grpc.StatusCode.UNKNOWN)
    for _ in range(10):
        assert await mesh.call(READ) is None
    assert await gained(mesh, "v2", 10, before) == (10, 10)
    assert await gained(mesh, "", 10, before) == (10, 0)


@real
@loop
async def test_a_version_that_cannot_be_reached_fails(mesh: TwoReleases) -> None:
    await mesh.split(100)
    before = now(mesh)
    await asyncio.to_thread(mesh.sidecars[NEW].kill)
    try:
        failed = [await mesh.call(READ) for _ in range(3)]
    finally:
        await mesh.sidecars[NEW].start()
        await mesh.plane.server.settled(NEW)
    assert all(failed)
    calls, failures = await gained(mesh, "v2", 3, before)
    assert calls == failures


@real
@loop
async def test_what_a_caller_gives_up_proves_nothing(mesh: TwoReleases) -> None:
    await mesh.split(100)
    before, app = now(mesh), mesh.apps[NEW]
    app.goes_on.clear()
    given_up = asyncio.create_task(mesh.call(READ))
    while not app.arrived:
        await asyncio.sleep(0.01)
    given_up.cancel()
    await asyncio.wait({given_up})
    late = await mesh.call(READ, seconds=0.3)
    assert late is not None
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    active = "cluster.payment@v2.upstream_rq_active"
    while (await mesh.sidecars["order-1"].stats(active))[active]:
        await asyncio.sleep(0.02)
    app.goes_on.set()
    assert await mesh.call(READ) is None
    assert await gained(mesh, "v2", 1, before) == (1, 0)


def entry(**more: Any) -> Any:
    """Makes a log entry of a call of the probe that took two seconds."""
    common = {"upstream_cluster": "probe@v2", "duration": "2s", **more.pop("common", {})}
    request = {"path": PROBE.full_name, "request_headers": {"souk-canary": "v2"}}
    content = {"common_properties": common, "request": request, "response": more}
    return build("envoy.data.accesslog.v3.HTTPAccessLogEntry", content)


def why(reason: str, code: grpc.StatusCode) -> dict[str, str]:
    raw = encode(DomainError(reason, "no"), code, "probe")
    return {"grpc-status": str(code.value[0]), "grpc-status-details-bin": base64.b64encode(raw).decode().rstrip("=")}


@pytest.mark.parametrize(
    ("content", "limit", "counts"),
    [
        ({"response_trailers": {"grpc-status": "0"}}, 1.0, False),
        ({"response_trailers": {"grpc-status": "5"}}, 1.0, False),
        ({"response_headers": {"grpc-status": "14"}}, 1.0, True),
        ({"response_trailers": {"grpc-status": "99"}}, 1.0, True),
        ({"response_trailers": why("OUT_OF_STOCK", grpc.StatusCode.UNAVAILABLE)}, 1.0, False),
        ({"response_trailers": why("PROVIDER_DOWN", grpc.StatusCode.UNAVAILABLE)}, 1.0, True),
        ({"response_trailers": why("ANOTHER", grpc.StatusCode.UNAVAILABLE)}, 1.0, True),
        ({"response_trailers": {"grpc-status": "14", "grpc-status-details-bin": "%%%"}}, 1.0, True),
        ({"common": {"response_flags": {"upstream_request_timeout": True}}}, 1.0, True),
        # The caller had less time to give than the contract has.
        ({"common": {"response_flags": {"upstream_request_timeout": True}}}, 20.0, None),
        ({"common": {"response_flags": {"upstream_remote_reset": True}}}, 1.0, True),
        ({"common": {"response_flags": {"upstream_connection_failure": True}}}, 1.0, True),
        ({"common": {"response_flags": {"upstream_overflow": True}}}, 1.0, None),
        # Given up: after all the time that it has, or before.
        ({}, 1.0, True),
        ({}, 20.0, None),
        ({"response_code": 503}, 1.0, True),
    ],
)
def test_a_try_is_judged_as_a_breaker_judges_a_call(content: dict[str, Any], limit: float, counts: bool | None) -> None:
    assert failed_by_contract(read_try(entry(**content)), PROBE, limit) is counts


@real
@loop
async def test_reports_without_the_token_of_a_sidecar_are_refused(mesh: TwoReleases) -> None:
    log = {"identifier": {"node": {"id": "order-1", "cluster": "order"}, "log_name": "tries"}}
    message = build("envoy.service.accesslog.v3.StreamAccessLogsMessage", log)
    async with grpc.aio.insecure_channel(f"unix:{mesh.folder / 'control' / 'xds.sock'}") as channel:
        send = channel.stream_unary(METHOD)
        for metadata in ((), (("souk-workload-token", "wrong"),)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(iter([message.SerializeToString()]), metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@real
@loop
async def test_a_control_plane_that_hangs_costs_no_call() -> None:
    with tempfile.TemporaryDirectory(prefix="mesh-") as name:
        async with AsyncExitStack() as stack:
            plane = await _plane_process(Path(name))
            try:
                invoke, apps, sidecars = await start_data_plane(stack, Path(name))
                while await make_call(invoke, READ) is not None or not all(one.arrived for one in apps.values()):
                    await asyncio.sleep(0.02)
                while not await _reported(plane):
                    await asyncio.sleep(0.05)
                plane.send_signal(signal.SIGSTOP)
                assert [await make_call(invoke, READ) for _ in range(1_500)] == [None] * 1_500
                # It has nothing to say either: a sidecar has what it has.
                assert (await sidecars["order-1"].admin("/ready")).is_success
                plane.send_signal(signal.SIGCONT)
                before = await _reported(plane)
                while await _reported(plane) <= before:
                    assert await make_call(invoke, READ) is None
            finally:
                plane.kill()
                await plane.wait()


async def _plane_process(folder: Path) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "tests.mesh.canary.two_releases", str(folder))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def _reported(plane: asyncio.subprocess.Process) -> int:
    """Asks the control plane how many tries it has counted."""
    assert plane.stdin is not None
    assert plane.stdout is not None
    plane.stdin.write(b"\n")
    await plane.stdin.drain()
    return int(await plane.stdout.readline())
