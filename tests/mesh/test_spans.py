"""Spans of two sidecars, as a receiver of OTLP gets them: under whose spans they are, and which there are."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from souk.kernel.addresses import grpc_target
from souk.mesh.envoy.trace_variables import span_receiver
from tests.mesh.order_and_payment import TwoSidecars, codes, two_sidecars

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.full]
READ = "/shop.payment.v1.PaymentService/ListOrderCharges"
TRACE, UNSAMPLED, PARENT = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319d", "b7ad6b7169203331"
PATIENCE = 60.0


@dataclass
class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps each span that it gets, with the service that it is of."""

    spans: list[tuple[str, Any]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        self.came.set()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def wait(self, trace: str, number: int) -> list[tuple[str, Any]]:
        """Waits for so many spans of a trace."""
        async with asyncio.timeout(PATIENCE):
            while len(found := [one for one in self.spans if one[1].trace_id.hex() == trace]) < number:
                self.came.clear()
                await self.came.wait()
        return found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[tuple[Receiver, int]]:
    server, receiver = grpc.aio.server(), Receiver()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield receiver, port
    await server.stop(None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path, receiver: tuple[Receiver, int]) -> AsyncIterator[TwoSidecars]:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver[1]}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    async with two_sidecars(folder, spans=span_receiver(variables)) as found:
        yield found


async def call(mesh: TwoSidecars, *metadata: tuple[str, str]) -> None:
    options = (("grpc.default_authority", "payment"), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(grpc_target(mesh.outbound), options=options) as channel:
        await channel.unary_unary(READ)(b"", timeout=PATIENCE, metadata=metadata)


async def test_the_spans_of_both_sidecars_join_the_trace_of_the_application(
    mesh: TwoSidecars, receiver: tuple[Receiver, int]
) -> None:
    mesh.callee.codes[:] = codes("UNAVAILABLE")  # it is tried again
    await call(mesh, ("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "souk=1"))
    found = await receiver[0].wait(TRACE, 5)
    (whole,) = [span for service, span in found if span.parent_span_id.hex() == PARENT]
    tries = [span for service, span in found if span.parent_span_id == whole.span_id]
    assert len(tries) == 2
    arrived = [(service, span.parent_span_id) for service, span in found if span not in [whole, *tries]]
    assert arrived == [("payment-sidecar", one.span_id) for one in tries]
    assert {service for service, span in found if span in [whole, *tries]} == {"order-sidecar"}
    assert {span.name for _, span in found} == {READ}
    under = dict(mesh.callee.metadata)["traceparent"]
    assert (
        under == f"00-{TRACE}-{[span for service, span in found if service == 'payment-sidecar'][-1].span_id.hex()}-01"
    )
    assert dict(mesh.callee.metadata)["tracestate"] == "souk=1"


async def test_what_the_application_does_not_sample_is_not_recorded(
    mesh: TwoSidecars, receiver: tuple[Receiver, int]
) -> None:
    before = len(receiver[0].spans)
    await call(mesh, ("traceparent", f"00-{UNSAMPLED}-{PARENT}-00"))
    assert dict(mesh.callee.metadata)["traceparent"][:36] == f"00-{UNSAMPLED}-"
    assert dict(mesh.callee.metadata)["traceparent"][-2:] == "00"
    await call(mesh, ("x-request-id", "0b1b5d0a-5c0f-4c9e-8a55-6f2f7a8d3c11"))
    assert dict(mesh.callee.metadata)["x-request-id"] == "0b1b5d0a-5c0f-4c9e-8a55-6f2f7a8d3c11"
    for trace in (f"{number:032x}" for number in range(1, 4)):  # Envoy sends spans when there are five of them
        await call(mesh, ("traceparent", f"00-{trace}-{PARENT}-01"))
        await receiver[0].wait(trace, 1)
    own = {f"{number:032x}" for number in range(1, 4)}
    assert {span.trace_id.hex() for _, span in receiver[0].spans[before:]} <= own
