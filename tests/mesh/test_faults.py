"""What callers get while a part of the mesh fails, and that it recovers. A call that ends as not sent never arrives."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from souk.kernel.addresses import unix_address
from souk.kernel.errors import Outcome
from souk.mesh.envoy import clusters
from souk.mesh.identity.spiffe import Workload
from souk.mesh.policy.reading import parse_policy
from souk.mesh.xds.snapshot import ResourceSnapshot
from souk.rpc.call import Call, CallFailed
from souk.rpc.sidecar import SidecarTransport
from tests.mesh.order_and_payment import CLOCK, MARK, SERVICES, TwoSidecars, two_sidecars
from tests.mesh.test_alike import METHODS

pytestmark = pytest.mark.full
CHARGE = METHODS["/shop.payment.v1.PaymentService/Charge"]
PATIENCE = 60.0
AT_ONCE = 4
ORDER = Workload("order", "order-1")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


class Buyers:
    """Calls Payment as Order without end, each call with a mark of its own; keeps how each ended, None for well."""

    def __init__(self, mesh: TwoSidecars, limit: float) -> None:
        self._mesh, self._limit, self._numbers = mesh, limit, count()
        self._through = SidecarTransport("payment", mesh.outbound, CLOCK)
        self._changed = asyncio.Event()
        self.ends: dict[str, Outcome | None] = {}
        self.why: list[str] = []
        self.stopped = False

    async def call(self) -> Outcome | None:
        mark = str(next(self._numbers))
        try:
            await self._through.unary(Call(CHARGE, b"", ((MARK, mark),), CLOCK.monotonic() + self._limit))
        except CallFailed as failed:
            self.ends[mark] = failed.outcome
            self.why.append(f"{failed.code()} {failed.detail}")
            await asyncio.sleep(0.01)  # so that a mesh that is away is not asked without a pause
        else:
            self.ends[mark] = None
        self._changed.set()
        return self.ends[mark]

    async def go_on(self) -> None:
        while not self.stopped:
            await self.call()

    async def more(self, number: int, *, well: bool) -> None:
        """Waits until so many more calls have ended well, or not."""
        before = sum((end is None) is well for end in self.ends.values())
        async with asyncio.timeout(PATIENCE):
            while sum((end is None) is well for end in self.ends.values()) < before + number:
                self._changed.clear()
                await self._changed.wait()

    async def close(self) -> None:
        await self._through.close(0)

    @property
    def failures(self) -> set[Outcome]:
        return {end for end in self.ends.values() if end is not None}

    def check(self) -> None:
        """Raises AssertionError if a call ended as not sent and arrived, or ended well and did not arrive."""
        marks = self._mesh.callee.marks
        assert self.failures <= {Outcome.NOT_SENT, Outcome.UNKNOWN}
        assert not [mark for mark, end in self.ends.items() if end is Outcome.NOT_SENT and mark in marks]
        assert not [mark for mark, end in self.ends.items() if end is None and mark not in marks]


@asynccontextmanager
async def calling(mesh: TwoSidecars, limit: float = PATIENCE) -> AsyncIterator[Buyers]:
    buyers = Buyers(mesh, limit)
    works = [asyncio.create_task(buyers.go_on()) for _ in range(AT_ONCE)]
    try:
        await buyers.more(20, well=True)
        yield buyers
    finally:
        buyers.stopped = True
        await asyncio.wait(works)
        await buyers.close()
    buyers.check()


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await check():
            await asyncio.sleep(0.05)


async def test_no_call_fails_without_a_control_plane_which_catches_up(folder: Path) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        moved = folder / "moved.sock"

        async def known() -> bool:
            return str(moved) in (await mesh.sidecars["order-1"].admin("/clusters")).text

        await mesh.control.stop()
        await buyers.more(50, well=True)
        moved.symlink_to(folder / "in.sock")
        mesh.registry.join(replace(mesh.instance, id="payment-2", address=unix_address(moved)))
        await buyers.more(50, well=True)
        assert not await known()
        await mesh.control.start()
        await until(known)
        await buyers.more(50, well=True)
    assert buyers.failures == set(), buyers.why


async def test_callers_that_learn_late_that_an_instance_has_left_are_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        server, publish = mesh.plane.server, mesh.plane.server.publish

        def to_the_callee(snapshots: Mapping[str, ResourceSnapshot]) -> None:
            publish({node: one for node, one in snapshots.items() if node != "order-1"})

        monkeypatch.setattr(server, "publish", to_the_callee)
        mesh.registry.leave(mesh.instance)

        async def has_left() -> bool:
            return mesh.plane.instances("payment", "") == 0

        await until(has_left)
        await server.settled("payment-1")
        await buyers.more(200, well=True)
    assert buyers.failures == set(), buyers.why


@pytest.mark.parametrize("victim", ["payment-1", "order-1"])
async def test_a_sidecar_is_killed(folder: Path, victim: str) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        mesh.sidecars[victim].kill()
        await buyers.more(10, well=False)
        await mesh.sidecars[victim].start()
        await buyers.more(20, well=True)


@pytest.mark.parametrize("victim", ["payment-1", "order-1"])
async def test_a_sidecar_hangs_and_is_started_anew(folder: Path, victim: str) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh, limit=1.0) as buyers:
        mesh.sidecars[victim].pause()
        await buyers.more(AT_ONCE, well=False)
        mesh.sidecars[victim].kill()
        await mesh.sidecars[victim].start()
        await buyers.more(20, well=True)


async def test_a_sidecar_without_memory_refuses_calls_and_sends_nothing(folder: Path) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        sidecar = mesh.sidecars["order-1"]
        await sidecar.stop()
        enough, sidecar.sidecar = sidecar.sidecar, replace(sidecar.sidecar, memory=1024 * 1024)
        await sidecar.start()
        await mesh.plane.server.settled("order-1")
        await buyers.more(10, well=False)
        await until_refused(buyers)
        arrived = mesh.callee.arrived.total()
        assert await buyers.call() is Outcome.NOT_SENT
        await sidecar.stop()
        assert mesh.callee.arrived.total() == arrived
        sidecar.sidecar = enough
        await sidecar.start()
        await buyers.more(20, well=True)


async def until_refused(buyers: Buyers) -> None:
    """Waits until calls have failed as not sent ten times in a row."""

    async def refused() -> bool:
        return list(buyers.ends.values())[-10:] == [Outcome.NOT_SENT] * 10

    await until(refused)


async def test_when_all_instances_leave_calls_end_as_not_sent_at_once(folder: Path) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        mesh.registry.leave(mesh.instance)
        await until_refused(buyers)
        mesh.registry.join(mesh.instance)
        await buyers.more(20, well=True)


async def restarted_without_a_registry(mesh: TwoSidecars) -> None:
    """Has another control plane take over whose registry does not answer; the sidecars have what it has to say."""
    await mesh.control.stop()
    mesh.registry.answering.clear()
    await mesh.control.start()
    for name in mesh.sidecars:
        await mesh.plane.server.settled(name)
    assert "payment" in mesh.plane.unknown


async def test_a_control_plane_without_a_registry_takes_nothing_away(folder: Path) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        before = mesh.plane.certificates.current(ORDER)
        await restarted_without_a_registry(mesh)
        await buyers.more(50, well=True)
        await mesh.plane.refresh()
        assert mesh.plane.certificates.current(ORDER) not in (None, before)
        await buyers.more(50, well=True)
        mesh.registry.answering.set()
        await until_known(mesh)
        await buyers.more(50, well=True)
    assert buyers.failures == set(), buyers.why


async def until_known(mesh: TwoSidecars) -> None:
    """Waits until the registry has answered about all services, and the sidecars know what it said."""

    async def known() -> bool:
        return not mesh.plane.unknown

    await until(known)
    assert not await mesh.plane.settled(PATIENCE)


async def test_who_has_left_while_no_registry_answered_gets_no_calls_once_it_does(folder: Path) -> None:
    async with two_sidecars(folder) as mesh, calling(mesh) as buyers:
        await restarted_without_a_registry(mesh)
        mesh.registry.leave(mesh.instance)
        await buyers.more(20, well=True)
        mesh.registry.answering.set()
        await until_refused(buyers)
        mesh.registry.join(mesh.instance)
        await buyers.more(20, well=True)


async def test_a_sidecar_that_starts_while_no_registry_answers_waits_for_it(folder: Path) -> None:
    async with two_sidecars(folder) as mesh:
        await restarted_without_a_registry(mesh)
        for sidecar in mesh.sidecars.values():
            await sidecar.stop()
            await sidecar.start()
        for name in mesh.sidecars:
            await mesh.plane.server.settled(name)
        buyers = Buyers(mesh, PATIENCE)
        assert await buyers.call() is Outcome.NOT_SENT
        mesh.registry.answering.set()
        await until_known(mesh)

        async def answered() -> bool:
            return await buyers.call() is None

        await until(answered)
        await buyers.close()
        buyers.check()


@pytest.fixture
def two_calls_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sidecars make no third call over a connection while two are under way."""
    options: Any = clusters._http2()
    (own,) = options.values()
    own["explicit_http_config"] = {"http2_protocol_options": {"max_concurrent_streams": 2}}
    monkeypatch.setattr(clusters, "_http2", lambda: options)


@pytest.mark.parametrize(("limit", "running"), [("connections: 1", 2), ("connections: 2", 4)])
@pytest.mark.usefixtures("two_calls_a_connection")
async def test_calls_wait_beyond_the_limit_of_connections(folder: Path, limit: str, running: int) -> None:
    policy = parse_policy(f"services: {{payment: {{limits: {{{limit}}}}}}}", SERVICES)
    async with two_sidecars(folder, policy) as mesh, held(mesh, 8) as buyers:

        async def all_there() -> bool:
            return mesh.callee.running + await waiting(mesh) == 8

        await until(all_there)
        assert mesh.callee.running == running
    assert mesh.callee.most == running
    assert list(buyers.ends.values()) == [None] * 9


@pytest.mark.usefixtures("two_calls_a_connection")
async def test_no_more_calls_wait_than_the_limit_of_pending(folder: Path) -> None:
    policy = parse_policy("services: {payment: {limits: {connections: 1, pending: 3}}}", SERVICES)
    async with two_sidecars(folder, policy) as mesh, held(mesh, 8) as buyers:

        async def all_there() -> bool:
            return mesh.callee.running + await waiting(mesh) + len(buyers.why) == 8

        await until(all_there)
        assert (mesh.callee.running, await waiting(mesh), len(buyers.why)) == (2, 3, 3)
        assert buyers.failures == {Outcome.NOT_SENT}


@asynccontextmanager
async def held(mesh: TwoSidecars, number: int) -> AsyncIterator[Buyers]:
    """Makes one call, and then so many at once that the callee does not answer before the block ends."""
    buyers = Buyers(mesh, PATIENCE)
    assert await buyers.call() is None
    mesh.callee.open.clear()
    calls = [asyncio.create_task(buyers.call()) for _ in range(number)]
    try:
        yield buyers
    finally:
        mesh.callee.open.set()
        await asyncio.wait(calls)
        await buyers.close()
    buyers.check()


async def waiting(mesh: TwoSidecars) -> int:
    """Counts the calls that wait in the sidecar of Order for a connection to Payment."""
    name = "cluster.payment.upstream_rq_pending_active"
    return int((await mesh.sidecars["order-1"].stats(f"^{name}$"))[name])


async def test_the_limit_of_requests_holds_at_the_callee(folder: Path) -> None:
    policy = parse_policy("services: {payment: {limits: {requests: 2, pending: 1}}}", SERVICES)
    async with two_sidecars(folder, policy) as mesh:
        buyers = Buyers(mesh, PATIENCE)
        assert await buyers.call() is None
        mesh.callee.open.clear()
        calls = [asyncio.create_task(buyers.call()) for _ in range(8)]

        async def full() -> bool:
            return mesh.callee.running == 2 and Outcome.NOT_SENT in buyers.failures

        await until(full)
        mesh.callee.open.set()
        ends = await asyncio.gather(*calls)
        await buyers.close()
    assert mesh.callee.most == 2
    assert set(ends) == {None, Outcome.NOT_SENT}
    buyers.check()
