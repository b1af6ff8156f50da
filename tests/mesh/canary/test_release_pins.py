"""A request and a saga stay in the release that they have met, through real sidecars."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from shop.payment.v1 import payment_pb2, payment_pb2_grpc

from souk.descriptors.contract import Access, contract_of
from souk.kernel.context import CallContext, acting_as, current, note_release, use
from souk.rpc.client.channel import Channel
from souk.rpc.client.layer_stack import sidecar_layers
from souk.rpc.client.outgoing import Outgoing
from souk.rpc.metadata import RELEASE, read_releases, releases_text
from souk.rpc.server.admission import Admission
from souk.rpc.sidecar import SidecarTransport
from souk.saga.definition import Refusal, Saga, SagaRef, Step, StepCall
from souk.saga.runner import SagaOutcome, SagaRunner, SagaSettings
from souk.store.database import Transaction
from souk.testing.saga_suite import Shop, refused
from tests.mesh.canary.two_releases import CLOCK, NEW, OLD, PATIENCE, TwoReleases

QUICK = SagaSettings(lease=0.3, claim=0.02, poll=0.02, pause=0.002, longest_pause=0.01)
CHARGE = "/shop.payment.v1.PaymentService/Charge"
CANCEL = "/shop.payment.v1.PaymentService/CancelCharge"
METHODS = contract_of(payment_pb2.DESCRIPTOR.services_by_name["PaymentService"]).methods

real = pytest.mark.full
loop = pytest.mark.asyncio(loop_scope="module")


async def _rejected(tx: Transaction, call: StepCall, refusal: Refusal) -> None:
    """Nothing follows."""


class PayingOrder:
    """Order, whose saga charges a payment through the mesh and asks somebody then, whose refusal turns it back."""

    def __init__(self, mesh: TwoReleases, shop: Shop) -> None:
        self.shop = shop
        transport = SidecarTransport("payment", f"unix:{mesh.folder / 'order.sock'}", CLOCK)
        self.channel = Channel(transport, layers=sidecar_layers(CLOCK), clock=CLOCK)
        self.payment = payment_pb2_grpc.PaymentServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.transport = transport
        self.asked, self.may_refuse = asyncio.Event(), asyncio.Event()

    def runner(self, owner: str) -> SagaRunner:
        steps = Step("pay", do=self._charge, undo=self._cancel), Step("ask", do=self._ask, undo=self._unask)
        saga = Saga("pay", *steps, Step("confirm", pivot=True), rejected=_rejected, deadline=PATIENCE)
        return SagaRunner(self.shop.database, [saga], CLOCK, owner, QUICK, service="order")

    async def begin(self, runner: SagaRunner) -> SagaRef:
        """Begins a saga; its first step is done, and the second is being asked, when this returns."""
        with use(CallContext()):
            ref = await self.shop.database.run(lambda tx: runner.start(tx, "pay", "s-1", 1, b""))
        await self.asked.wait()
        return ref

    async def turn_back(self, runner: SagaRunner, ref: SagaRef) -> None:
        """Has the second step refused, and waits until the first is undone."""
        self.may_refuse.set()
        progress = await runner.wait_ended(ref, CLOCK.monotonic() + PATIENCE)
        await runner.close(PATIENCE)
        assert progress.outcome is SagaOutcome.REJECTED

    async def _charge(self, call: StepCall) -> Message:
        return await self.payment.Charge(payment_pb2.ChargeRequest(key=call.key))

    async def _cancel(self, call: StepCall) -> None:
        await self.payment.CancelCharge(payment_pb2.CancelChargeRequest(key=call.key))

    async def _ask(self, call: StepCall) -> Message:
        self.asked.set()
        await self.may_refuse.wait()
        raise refused("NO")

    async def _unask(self, call: StepCall) -> None:
        """Nothing was done."""


@pytest_asyncio.fixture(loop_scope="module")
async def order(mesh: TwoReleases, tmp_path: Path) -> AsyncIterator[PayingOrder]:
    shop = await Shop.open(tmp_path)
    made = PayingOrder(mesh, shop)
    yield made
    await made.channel.close()
    await made.transport.close(0)
    await shop.close()


def arrived(mesh: TwoReleases) -> dict[str, list[str]]:
    return {name: [path for path, _ in one.arrived] for name, one in mesh.apps.items()}


@real
@loop
@pytest.mark.parametrize(("began", "percent", "later"), [(NEW, 100, 0), (OLD, 0, 100)])
async def test_what_a_release_did_is_undone_by_it_whatever_the_weights_are_by_then(
    mesh: TwoReleases, order: PayingOrder, began: str, percent: int, later: int
) -> None:
    await mesh.split(percent)
    runner = order.runner("A")
    ref = await order.begin(runner)
    await mesh.split(later)
    await order.turn_back(runner, ref)
    assert arrived(mesh) == {OLD: [], NEW: []} | {began: [CHARGE, CANCEL]}


@real
@loop
async def test_a_run_that_another_process_takes_over_stays_in_its_release(
    mesh: TwoReleases, order: PayingOrder
) -> None:
    await mesh.split(100)
    first = order.runner("A")
    ref = await order.begin(first)
    for task in list(first._tasks.values()):  # as a crash would: its lease is not given back
        task.cancel()
    await mesh.split(0)
    second = order.runner("B")
    going = asyncio.create_task(second.run())
    order.may_refuse.set()
    progress = await second.wait_ended(ref, CLOCK.monotonic() + PATIENCE)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert progress.outcome is SagaOutcome.REJECTED
    assert arrived(mesh) == {OLD: [], NEW: [CHARGE, CANCEL]}


@real
@loop
async def test_the_baseline_answers_for_a_release_that_is_gone(mesh: TwoReleases, order: PayingOrder) -> None:
    await mesh.split(100)
    runner = order.runner("A")
    ref = await order.begin(runner)
    mesh.plane.split("payment", None)
    await mesh.leave_new()
    await order.turn_back(runner, ref)
    assert arrived(mesh) == {OLD: [CANCEL], NEW: [CHARGE]}
    await mesh.join_new()


@real
@loop
async def test_all_calls_of_a_request_meet_one_release(mesh: TwoReleases, order: PayingOrder) -> None:
    await mesh.split(50)
    met = set()
    for _ in range(24):
        for one in mesh.apps.values():
            one.arrived.clear()
        with use(CallContext()):
            for _ in range(3):
                await order.payment.ListOrderCharges(payment_pb2.ListOrderChargesRequest())
            with acting_as("order"):
                await order.payment.ListOrderCharges(payment_pb2.ListOrderChargesRequest())
        (instance,) = [name for name, paths in arrived(mesh).items() if paths]
        assert len(arrived(mesh)[instance]) == 4
        met.add(instance)
    assert met == {OLD, NEW}  # each by half: only one of them, once in eight million times


def test_releases_come_with_a_call_and_go_on_with_the_calls_that_follow() -> None:
    method = METHODS["/shop.payment.v1.PaymentService/ListPaymentMethods"]
    open_method = replace(method, policy=replace(method.policy, access=Access.ANYONE))
    context = Admission(None, CLOCK).admit(open_method, ((RELEASE, "payment=v2,user="),), None)
    assert context.releases == {"payment": "v2", "user": ""}
    with use(context), acting_as("order"):
        note_release("inventory", "v7")
        note_release("payment", "v3")  # the first one stays
        made = Outgoing(None, CLOCK).call(open_method, None, b"", None, None, None)
    assert dict(made.metadata)[RELEASE] == "payment=v2,user=,inventory=v7"


def test_work_outside_of_calls_keeps_nothing() -> None:
    note_release("payment", "v2")
    assert current().releases == {}
    with acting_as("order"):
        note_release("payment", "v2")
        assert current().releases == {"payment": "v2"}
    with acting_as("order"):
        assert current().releases == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [("", {}), ("payment=v2", {"payment": "v2"}), ("a=,b", {"a": ""}), ("=x,,b=1", {"b": "1"})],
)
def test_releases_are_read_from_their_text(text: str, found: dict[str, str]) -> None:
    assert read_releases(text) == found
    assert read_releases(releases_text(found)) == found
