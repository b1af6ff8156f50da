"""What is logged of a call that goes on after its caller was answered: a trace for a fault of the code alone."""

import io
from typing import Any, cast

import grpc
import pytest

from souk.kernel.errors import DomainError, LeaseLost, Overloaded, StoreUnavailable, VersionConflict
from souk.rpc.call import CallFailed, Status
from souk.rpc.client.outgoing import method_of
from souk.rpc.server.dispatcher import Served
from souk.rpc.server.handling import handle
from souk.testing.probe import probe_pb2 as pb

PROBE = pb.DESCRIPTOR.services_by_name["Probe"]
PASSING = [
    StoreUnavailable("another transaction holds the lock"),
    Overloaded("too much at once"),
    VersionConflict("it has grown"),
    LeaseLost("another has it"),
    TimeoutError(),
    ConnectionError(),
    DomainError("OUT_OF_STOCK", "none are left"),
    CallFailed(grpc.StatusCode.UNAVAILABLE),
]


class Answered:
    """The context of a call whose caller has his answer already."""

    def complete(self, message: bytes | None) -> None:
        raise AssertionError("nothing was answered")

    def finish(self, status: Status) -> None:
        assert status.code is grpc.StatusCode.UNKNOWN

    def call_back(self) -> None:
        pass


async def logged(error: Exception, written: io.StringIO) -> str:
    """Gives the log of a handler that ends with this error."""

    async def serve(request: Any, context: Any) -> bytes | None:
        raise error

    served = Served(method_of(f"/{PROBE.full_name}/Unary"), serve, lambda metadata: None)
    await handle(served, pb.Ask(), cast(Any, Answered()))
    return written.getvalue()


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
async def test_what_passes_is_a_line_without_a_trace(error: Exception, written: io.StringIO) -> None:
    text = await logged(error, written)
    assert "Traceback" not in text
    assert '"level":"info"' in text
    assert type(error).__name__ in text


async def test_a_fault_of_the_code_is_an_error_with_its_trace(written: io.StringIO) -> None:
    text = await logged(KeyError("no such thing"), written)
    assert "a call failed after it was answered" in text
    assert "Traceback" in text
