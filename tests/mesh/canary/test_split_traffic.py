"""Calls of a service with a canary, through real sidecars: who gets which release, and that none fails meanwhile."""

import asyncio
from collections import Counter

import pytest
from shop.payment.v1 import payment_pb2

from souk.descriptors.contract import Method, contract_of
from souk.kernel.context import acting_as
from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from souk.mesh.policy.policy import CanarySplit
from souk.rpc.metadata import RELEASE
from souk.rpc.sidecar import SUBJECT
from tests.mesh.canary.two_releases import NEW, OLD, TwoReleases

METHODS = contract_of(payment_pb2.DESCRIPTOR.services_by_name["PaymentService"]).methods
READ = METHODS["/shop.payment.v1.PaymentService/ListOrderCharges"]
CHARGE = METHODS["/shop.payment.v1.PaymentService/Charge"]
TESTER = ("x-tester", "ann")

pytestmark = [pytest.mark.full, pytest.mark.asyncio(loop_scope="module")]


async def by(mesh: TwoReleases, method: Method, *metadata: tuple[str, str]) -> str:
    """Makes a call, and returns which instance it has reached."""
    before = {name: len(one.arrived) for name, one in mesh.apps.items()}
    assert await mesh.call(method, *metadata) is None
    (reached,) = [name for name, one in mesh.apps.items() if len(one.arrived) > before[name]]
    return reached


async def counted(mesh: TwoReleases, calls: int) -> Counter[str]:
    """Makes calls, and counts which instances they have reached."""
    before = {name: len(one.arrived) for name, one in mesh.apps.items()}
    for _ in range(calls):
        assert await mesh.call(READ) is None
    return Counter({name: len(one.arrived) - before[name] for name, one in mesh.apps.items()})


async def test_a_version_without_a_share_gets_no_call(mesh: TwoReleases) -> None:
    assert await counted(mesh, 100) == {OLD: 100, NEW: 0}


async def test_the_share_holds(mesh: TwoReleases) -> None:
    await mesh.split(25)
    found = await counted(mesh, 800)
    # Six standard deviations of a binomial distribution: sqrt(800 * 0.25 * 0.75) = 12.2.
    assert abs(found[NEW] - 200) < 74, found


async def test_all_calls_go_to_a_version_with_the_whole_share(mesh: TwoReleases) -> None:
    await mesh.split(100)
    assert await counted(mesh, 50) == {OLD: 0, NEW: 50}


async def test_a_tester_meets_the_version_whatever_its_share_is(mesh: TwoReleases) -> None:
    await mesh.split(0, TESTER)
    assert [await by(mesh, READ, TESTER) for _ in range(20)] == [NEW] * 20
    assert [await by(mesh, READ, ("x-tester", "bob")) for _ in range(5)] == [OLD] * 5


async def test_the_mark_of_a_tester_goes_with_the_releases_of_a_request(mesh: TwoReleases) -> None:
    await mesh.split(0, TESTER)
    for met, reached in {
        "x-tester=ann": NEW,
        "user=,x-tester=ann,order=v3": NEW,
        "x-tester=anna": OLD,
        "not-x-tester=ann": OLD,
        "x-tester=ann,payment=": OLD,  # what has met the baseline stays there
    }.items():
        assert [await by(mesh, READ, (RELEASE, met)) for _ in range(3)] == [reached] * 3, met


async def test_a_user_meets_the_version_and_the_callee_does_not_get_the_header(mesh: TwoReleases) -> None:
    await mesh.split(0, (SUBJECT, "user-7"))
    with acting_as("order", on_behalf_of="user-7"):
        assert [await by(mesh, READ) for _ in range(10)] == [NEW] * 10
    with acting_as("order", on_behalf_of="user-8"):
        assert [await by(mesh, READ) for _ in range(10)] == [OLD] * 10
    headers = [metadata for one in mesh.apps.values() for _, metadata in one.arrived]
    assert not [found for found in headers if SUBJECT in found]


async def test_a_request_stays_in_the_release_that_it_has_met(mesh: TwoReleases) -> None:
    await mesh.split(0, TESTER)
    assert [await by(mesh, READ, (RELEASE, "user=v9,payment=v2")) for _ in range(5)] == [NEW] * 5
    await mesh.split(100)
    assert [await by(mesh, READ, (RELEASE, "payment=,user=v9")) for _ in range(5)] == [OLD] * 5
    # Another service of a name that ends so, and a version that is gone.
    assert await by(mesh, READ, (RELEASE, "repayment=v1")) == NEW
    assert await by(mesh, READ, (RELEASE, "payment=v1")) == OLD


async def test_calls_without_side_effects_alone_are_copied(mesh: TwoReleases) -> None:
    await mesh.split(0, mirrored=True)
    for _ in range(20):
        assert await mesh.call(READ) is None
        assert await mesh.call(CHARGE, key="k-1") is None
    paths = Counter(path for path, _ in mesh.apps[OLD].arrived)
    assert paths == {READ.full_name: 20, CHARGE.full_name: 20}
    while len(mesh.apps[NEW].arrived) < 20:  # nobody waits for a copy
        await asyncio.sleep(0.02)
    assert {path for path, _ in mesh.apps[NEW].arrived} == {READ.full_name}


async def test_weights_change_under_load_without_a_failed_call_and_routes_alone_change(mesh: TwoReleases) -> None:
    failures: list[object] = []
    going = True

    async def load() -> None:
        while going:
            failures.extend(filter(None, [await mesh.call(READ), await mesh.call(CHARGE, key="k")]))

    before = await mesh.plane.server.settled("order-1")
    loads = [asyncio.create_task(load()) for _ in range(4)]
    for percent in (1, 5, 25, 50, 100, 0, 33, 100, 0):
        await mesh.split(percent)
        await counted(mesh, 10)
    going = False
    await asyncio.gather(*loads)
    after = await mesh.plane.server.settled("order-1")
    assert failures == []
    assert all(len(one.arrived) > 50 for one in mesh.apps.values())
    changed = {kind for kind in (CLUSTER, ENDPOINTS, LISTENER) if before[kind].held != after[kind].held}
    assert changed == set()
    assert after[ROUTES].rejections == ()


async def test_a_version_comes_and_goes_under_load_without_a_failed_call(mesh: TwoReleases) -> None:
    failures: list[object] = []
    going = True

    async def load() -> None:
        while going:
            failures.extend(filter(None, [await mesh.call(READ)]))

    loads = [asyncio.create_task(load()) for _ in range(4)]
    for _ in range(3):
        await mesh.split(50)
        await counted(mesh, 20)
        await mesh.split(0)
        await mesh.leave_new()
        mesh.plane.split("payment", None)
        await mesh.settled()
        await counted(mesh, 20)
        mesh.plane.split("payment", CanarySplit("v2"))
        await mesh.join_new()
    going = False
    await asyncio.gather(*loads)
    assert failures == []
