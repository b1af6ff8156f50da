"""Marks that only a caller's sidecar makes, forged by the application that answers: they reach no caller."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from souk.kernel.addresses import grpc_target
from souk.rpc.sidecar import ATTEMPTS, FLAGS, SERVED_BY
from tests.mesh.order_and_payment import TwoSidecars, two_sidecars

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHARGE = "/shop.payment.v1.PaymentService/Charge"
FORGED = ((FLAGS, "UH"), (ATTEMPTS, "0"), (SERVED_BY, "payment=v2"))
HONEST = (("shop", "open"),)
PATIENCE = 60.0


class Forger:
    """Answers in the place of the callee with marks in its headers, its trailers, or both."""

    def __init__(self, headers: Sequence[tuple[str, str]], trailers: Sequence[tuple[str, str]], *, fails: bool) -> None:
        self._headers, self._trailers, self._fails = headers, trailers, fails

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def answer(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            if self._headers:
                await context.send_initial_metadata(self._headers)
            context.set_trailing_metadata((*self._trailers, *HONEST))
            if self._fails:
                await context.abort(grpc.StatusCode.UNKNOWN, "after it was done")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path) -> AsyncIterator[TwoSidecars]:
    async with two_sidecars(folder) as found:
        yield found


async def metadata(mesh: TwoSidecars) -> dict[str, Any]:
    """Calls Payment as Order, and gives all the metadata of the answer."""
    options = (("grpc.default_authority", "payment"), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(grpc_target(mesh.outbound), options=options) as channel:
        method: Any = channel.unary_unary(CHARGE)
        call = method(b"", timeout=PATIENCE)
        initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
        return dict([*(initial or ()), *(trailing or ())])


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("headers", "trailers"), [(FORGED, ()), ((), FORGED), (HONEST, FORGED)])
async def test_no_mark_of_an_application_reaches_a_caller(
    mesh: TwoSidecars,
    monkeypatch: pytest.MonkeyPatch,
    headers: Sequence[tuple[str, str]],
    trailers: Sequence[tuple[str, str]],
    fails: bool,
) -> None:
    monkeypatch.setattr(mesh.callee, "service", Forger(headers, trailers, fails=fails).service)
    found = await metadata(mesh)
    assert found["shop"] == "open"
    assert not {FLAGS, ATTEMPTS, SERVED_BY} & found.keys(), found
