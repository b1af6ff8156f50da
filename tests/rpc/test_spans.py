"""What is recorded of calls, whatever carries them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, use
from souk.resilience.retry import Retry
from souk.rpc.call import Call, CallFailed, Invoke, Reply, not_sent
from souk.rpc.client.channel import Channel
from souk.rpc.client.layer_stack import standard_layers
from souk.rpc.connect.server import serve_connect
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher
from souk.rpc.transport import Transport
from souk.telemetry.tracing.calling import CONNECT, GRPC, IN_PROCESS
from souk.telemetry.tracing.span import Span
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2 import DESCRIPTOR
from souk.testing.probe.probe_pb2_grpc import ProbeStub
from souk.testing.recorded_spans import RecordedSpans
from souk.testing.rpc.probe import Probe, tokens

CLOCK = SystemClock()
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNARY = "souktest.v1.Probe/Unary"
SAFETY = 60.0
SYSTEMS = {"in process": IN_PROCESS, "grpc": GRPC, "connect": CONNECT}
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@dataclass
class Traced:
    """A probe, a transport to it, what that is in spans, and what both ends record."""

    transport: Transport
    system: str
    spans: RecordedSpans
    probe: Probe = field(default_factory=Probe)

    def stub(self, *inner: Callable[[Invoke], Invoke]) -> ProbeStub:
        tracer = self.spans.tracer("order")
        by = IN_PROCESS if self.system == IN_PROCESS else GRPC  # as a process knows it before it has chosen an instance
        standard = standard_layers("probe", CLOCK, tracer=tracer, retry=Retry(now=CLOCK.monotonic()), system=by)
        tokens_ = tokens("test")
        return ProbeStub(
            Channel(self.transport, tokens=tokens_, layers=[*standard, *inner], clock=CLOCK, tracer=tracer, system=by)
        )

    async def of(self, kind: str) -> list[Span]:
        async with asyncio.timeout(SAFETY):
            await self.spans.settled()
        return [one for one in self.spans.ended if one.kind.name == kind]


@pytest.fixture(params=["in process", "grpc", "connect"])
async def traced(request: pytest.FixtureRequest) -> AsyncIterator[Traced]:
    spans = RecordedSpans()
    probe = Probe()
    dispatcher = Dispatcher(tokens("probe"), CLOCK, spans.tracer("probe"))
    dispatcher.add(probe, DESCRIPTOR.services_by_name["Probe"])
    server, connect = await serve(dispatcher), await serve_connect(dispatcher)
    grpc_transport = GrpcTransport(lambda: [server.address])
    transports: dict[str, Transport] = {
        "in process": InProcessTransport(dispatcher),
        "grpc": grpc_transport,
        "connect": ConnectTransport(lambda: [connect.address], streams=grpc_transport),
    }
    yield Traced(transports[request.param], SYSTEMS[request.param], spans, probe)
    for transport in transports.values():
        await transport.close()
    await server.stop(None)
    await connect.stop(None)
    assert spans.open == 0


async def test_a_call_is_two_spans_under_the_caller(traced: Traced) -> None:
    with use(CallContext(traceparent=PARENT)):
        answer = await traced.stub().Unary(pb.Ask(what="describe"))
    (client,), (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert (client.service, client.name, client.trace_id, client.parent_id) == (
        "order", UNARY, PARENT[3:35], PARENT[36:52]
    )  # fmt: skip
    assert (server.service, server.name, server.trace_id, server.parent_id) == (
        "probe", UNARY, client.trace_id, client.span_id
    )  # fmt: skip
    assert (
        client.attributes
        == server.attributes
        == {
            "rpc.system.name": traced.system,
            "rpc.method": UNARY,
            "rpc.response.status_code": "OK",
        }
    )
    assert answer.seen["traceparent"] == server.traceparent  # what the handler calls is under its own span
    assert not client.error
    assert not server.error
    assert client.started <= server.started
    assert server.ended <= client.ended


async def test_a_call_without_a_trace_begins_one(traced: Traced) -> None:
    await traced.stub().Unary(pb.Ask(what="echo"))
    (client,), (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert client.parent_id == ""
    assert server.parent_id == client.span_id


@pytest.mark.parametrize("hostile", ["00-zz", "x" * 4_000, PARENT[:-1]])
async def test_a_hostile_context_of_a_caller_is_absent(traced: Traced, hostile: str) -> None:
    await traced.stub().Unary(pb.Ask(what="echo"), metadata=(("traceparent", hostile),))
    assert (await traced.of("CLIENT"))[0].parent_id == ""


async def test_a_refusal_is_no_failure_of_the_callee(traced: Traced) -> None:
    with pytest.raises(CallFailed):
        await traced.stub().Unary(pb.Ask(what="refuse"))
    (client,), (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert (client.error, client.attributes["souk.refusal"], client.reason) == (
        "FAILED_PRECONDITION", "OUT_OF_STOCK", ""
    )  # fmt: skip
    assert (server.error, server.attributes["rpc.response.status_code"]) == ("", "FAILED_PRECONDITION")
    assert server.attributes["souk.refusal"] == "OUT_OF_STOCK"
    assert client.attributes["rpc.system.name"] == server.attributes["rpc.system.name"] == traced.system


async def test_what_other_systems_say_of_the_trace_goes_on(traced: Traced) -> None:
    with use(CallContext(traceparent=PARENT, tracestate=STATE)):
        answer = await traced.stub().Unary(pb.Ask(what="metadata"))
    (client,), (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert client.tracestate == server.tracestate == STATE
    assert STATE in str(answer.seen)


@pytest.mark.parametrize("hostile", ["a=1,a=2", "no member", ",".join(f"k{n}=1" for n in range(40))])
async def test_a_malformed_state_of_a_caller_is_absent(traced: Traced, hostile: str) -> None:
    await traced.stub().Unary(pb.Ask(what="echo"), metadata=(("traceparent", PARENT), ("tracestate", hostile)))
    assert (await traced.of("SERVER"))[0].tracestate == ""


async def test_a_call_that_is_refused_before_its_handler_is_recorded_with_the_reason(traced: Traced) -> None:
    layers = standard_layers("probe", CLOCK, tracer=traced.spans.tracer("order"), retry=Retry(now=CLOCK.monotonic()))
    stranger = ProbeStub(Channel(traced.transport, layers=layers, clock=CLOCK, tracer=traced.spans.tracer("order")))
    with pytest.raises(CallFailed), use(CallContext(traceparent=PARENT)):
        await stranger.Internal(pb.Ask(what="echo"))
    (client,), (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert (server.parent_id, server.error, server.reason) == (client.span_id, "", "")
    assert server.attributes["souk.refusal"] == "UNAUTHENTICATED"


async def test_a_handler_that_fails_is_an_error_at_both_ends(traced: Traced) -> None:
    with pytest.raises(CallFailed):
        await traced.stub().Unary(pb.Ask(what="be-overloaded"))
    assert [one.error for one in (*(await traced.of("CLIENT")), *(await traced.of("SERVER")))] == [
        "UNAVAILABLE",
        "UNAVAILABLE",
    ]
    assert {one.reason for one in traced.spans.ended} == {"failed"}


async def test_each_try_is_a_span_of_its_own(traced: Traced) -> None:
    failures = [not_sent("the first is lost"), not_sent("and the second")]

    def losing(inner: Invoke) -> Invoke:
        async def invoke(call: Call) -> Reply:
            if failures:
                raise failures.pop()
            return await inner(call)

        return invoke

    with use(CallContext(traceparent=PARENT)):
        await traced.stub(losing).Unary(pb.Ask(what="echo", key="k"))
    tries, (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert [one.attributes.get("souk.resend_count") for one in tries] == [None, 1, 2]
    assert [one.error for one in tries] == ["UNAVAILABLE", "UNAVAILABLE", ""]
    assert {one.parent_id for one in tries} == {PARENT[36:52]}
    assert len({one.span_id for one in tries}) == 3
    assert server.parent_id == tries[-1].span_id
    assert tries[-1].reason == "retried"


async def test_a_caller_that_leaves_is_no_failure(traced: Traced) -> None:
    call = traced.stub().Unary(pb.Ask(what="hang", key="k"))
    await traced.probe.events["began k"].wait()
    call.cancel()
    await traced.probe.events["cancelled k"].wait()
    while traced.spans.open:
        await _turn()
    assert {one.reason for one in traced.spans.ended} == {""}
    assert (await traced.of("SERVER"))[0].attributes["rpc.response.status_code"] == "CANCELLED"


async def test_a_stream_is_recorded_until_it_is_over(traced: Traced) -> None:
    with use(CallContext(traceparent=PARENT)):
        assert [one.number async for one in traced.stub().Down(pb.Ask(count=3))] == [0, 1, 2]
    while traced.spans.open:
        await _turn()
    (client,), (server,) = (await traced.of("CLIENT")), (await traced.of("SERVER"))
    assert (client.parent_id, server.parent_id) == (PARENT[36:52], client.span_id)
    assert client.streaming
    assert server.streaming
    assert (client.error, server.error) == ("", "")


async def test_a_stream_that_is_refused(traced: Traced) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        _ = [one async for one in traced.stub().Down(pb.Ask(what="refuse", count=1))]
    while traced.spans.open:
        await _turn()
    assert (await traced.of("CLIENT"))[0].error == "FAILED_PRECONDITION"
    assert (await traced.of("SERVER"))[0].error == ""


async def _turn() -> None:
    await asyncio.sleep(0.001)
