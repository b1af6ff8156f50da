"""What is tried again, and how often: by the layers inside a process, and by a sidecar in their place."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from shop.payment.v1 import payment_pb2

from souk.descriptors.contract import Method, contract_of
from souk.kernel.errors import Outcome, PermissionDenied
from souk.rpc.call import Call, CallFailed, Invoke
from souk.rpc.client.layer_stack import sidecar_layers, standard_layers, wrapped
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.metadata import IDEMPOTENCY_KEY
from souk.rpc.sidecar import SidecarTransport
from souk.rpc.status import encode
from tests.mesh.order_and_payment import CLOCK, TwoSidecars, codes, two_sidecars

METHODS = contract_of(payment_pb2.DESCRIPTOR.services_by_name["PaymentService"]).methods
READ = METHODS["/shop.payment.v1.PaymentService/ListOrderCharges"]
CHARGE = METHODS["/shop.payment.v1.PaymentService/Charge"]
TRIED_AGAIN = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNKNOWN")
TRIED_ONCE = ("NOT_FOUND", "FAILED_PRECONDITION", "PERMISSION_DENIED", "INVALID_ARGUMENT", "UNIMPLEMENTED", "DATA_LOSS")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path) -> AsyncIterator[TwoSidecars]:
    async with two_sidecars(folder) as found:
        yield found


@pytest_asyncio.fixture(params=["layers", "sidecar"], loop_scope="module")
async def invoke(request: pytest.FixtureRequest, mesh: TwoSidecars) -> AsyncIterator[Invoke]:
    """Calls the callee: directly with the layers of a process, or through the sidecars without them."""
    if request.param == "layers":
        direct = GrpcTransport(lambda: (mesh.application,), CLOCK, service="payment")
        yield wrapped(direct.unary, standard_layers("payment", CLOCK))
        await direct.close(0)
    else:
        through = SidecarTransport("payment", mesh.outbound, CLOCK)
        yield wrapped(through.unary, sidecar_layers(CLOCK))
        await through.close(0)


def call(method: Method, key: str = "") -> Call:
    metadata = ((IDEMPOTENCY_KEY, key),) if key else ()
    return Call(method, b"", metadata, CLOCK.monotonic() + PATIENCE, idempotency_key=key)


async def tries(invoke: Invoke, mesh: TwoSidecars, made: Call) -> tuple[int, CallFailed | None]:
    """Makes a call; returns how often it arrived, and how it failed."""
    before = mesh.callee.arrived[made.method.full_name]
    failed = None
    try:
        await invoke(made)
    except CallFailed as error:
        failed = error
    mesh.callee.codes.clear()
    mesh.callee.details = b""
    return mesh.callee.arrived[made.method.full_name] - before, failed


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("code", TRIED_AGAIN)
async def test_what_may_pass_is_tried_again(invoke: Invoke, mesh: TwoSidecars, code: str) -> None:
    mesh.callee.codes[:] = codes(code)
    assert await tries(invoke, mesh, call(READ)) == (2, None)


@pytest.mark.parametrize("code", TRIED_ONCE)
async def test_what_stays_is_tried_once(invoke: Invoke, mesh: TwoSidecars, code: str) -> None:
    mesh.callee.codes[:] = codes(code)
    arrived, failed = await tries(invoke, mesh, call(READ))
    assert arrived == 1
    assert failed is not None
    assert failed.code() is grpc.StatusCode[code]


async def test_tries_do_not_multiply(invoke: Invoke, mesh: TwoSidecars) -> None:
    mesh.callee.codes[:] = codes(*["UNAVAILABLE"] * 20)
    arrived, failed = await tries(invoke, mesh, call(READ))
    assert arrived == 3
    assert failed is not None
    assert failed.outcome is Outcome.UNKNOWN


async def test_a_charge_is_tried_again_under_its_key(invoke: Invoke, mesh: TwoSidecars) -> None:
    mesh.callee.codes[:] = codes("UNAVAILABLE")
    assert await tries(invoke, mesh, call(CHARGE, key="k-1")) == (2, None)


async def test_what_the_callee_has_refused_is_not_tried_again(invoke: Invoke, mesh: TwoSidecars) -> None:
    """Its reason is the answer, whatever the code."""
    mesh.callee.codes[:] = codes("UNAVAILABLE")
    mesh.callee.details = encode(PermissionDenied("not this one"), grpc.StatusCode.UNAVAILABLE, "payment")
    arrived, failed = await tries(invoke, mesh, call(READ))
    assert arrived == 1
    assert failed is not None
    assert failed.outcome is Outcome.REFUSED


async def test_nobody_there_is_not_sent(mesh: TwoSidecars) -> None:
    through = SidecarTransport("inventory", mesh.outbound, CLOCK)
    with pytest.raises(CallFailed) as failed:
        await through.unary(call(READ))
    assert failed.value.outcome is Outcome.NOT_SENT
    await through.close(0)
