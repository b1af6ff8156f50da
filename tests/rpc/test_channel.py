"""What a channel adds to calls: deadline, caller, trace, key, layers; and what it refuses."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, Caller, acting_as, current, use
from souk.kernel.errors import ConfigurationError, ForeignAwait, Outcome
from souk.kernel.transaction_guard import guard
from souk.rpc.call import Call, CallFailed, Invoke, Layer, Pairs, Reply, failure_of, not_sent
from souk.rpc.client.channel import Channel, UnaryUnary
from souk.rpc.grpc.server import serve
from souk.rpc.grpc.transport import GrpcTransport
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.metadata import InvalidMetadata
from souk.rpc.server.dispatcher import Dispatcher
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe.probe_pb2_grpc import ForeignServicer, ForeignStub, ProbeServicer, ProbeStub
from souk.testing.rpc.probe import Probe, tokens

DESCRIBE = pb.Ask(what="describe")
PROBE = pb.DESCRIPTOR.services_by_name["Probe"]


def dispatcher() -> Dispatcher:
    made = Dispatcher(tokens("probe"))
    made.add(Probe(), PROBE)
    return made


@pytest.fixture
async def transport() -> AsyncIterator[InProcessTransport]:
    made = InProcessTransport(dispatcher())
    yield made
    await made.close()


@pytest.fixture
def probe(transport: InProcessTransport) -> ProbeStub:
    return ProbeStub(Channel(transport, tokens=tokens("order")))


class TestContext:
    async def test_deadlines_shrink(self, probe: ProbeStub) -> None:
        with use(CallContext(deadline=SystemClock().monotonic() + 3)):
            for timeout in (None, 10):
                seen = (await probe.Unary(DESCRIBE, timeout=timeout)).seen
                assert 2.5 < float(seen["deadline"]) <= 3
            assert float((await probe.Unary(DESCRIBE, timeout=1)).seen["deadline"]) <= 1

    async def test_the_caller_goes_along(self, probe: ProbeStub) -> None:
        caller = Caller("U-1", frozenset({"admin"}), frozenset({"probe"}), "gateway")
        with use(CallContext(caller=caller)):
            seen = (await probe.Guarded(DESCRIBE)).seen
        assert (seen["subject"], seen["roles"], seen["service"]) == ("U-1", "admin", "order")

    async def test_a_service_acts_for_a_user(self, probe: ProbeStub) -> None:
        with acting_as("order", on_behalf_of="U-2"):
            seen = (await probe.Internal(DESCRIBE)).seen
        assert (seen["subject"], seen["service"]) == ("U-2", "order")

    async def test_without_a_token_a_call_is_refused(self, transport: InProcessTransport) -> None:
        with pytest.raises(CallFailed) as raised:
            await ProbeStub(Channel(transport)).Internal(DESCRIBE)
        assert (raised.value.code(), raised.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert raised.value.outcome is Outcome.REFUSED

    async def test_a_trace_goes_on_with_a_span_of_its_own(self, probe: ProbeStub) -> None:
        trace, span = "a" * 32, "b" * 16
        with use(CallContext(traceparent=f"00-{trace}-{span}-01")):
            version, its_trace, its_span, flags = (await probe.Unary(DESCRIBE)).seen["traceparent"].split("-")
        assert (version, its_trace, flags) == ("00", trace, "01")
        assert its_span != span
        assert (await probe.Unary(DESCRIBE)).seen["traceparent"] != ""

    async def test_the_idempotency_key(self, probe: ProbeStub) -> None:
        explicit = (("idempotency-key", "mine"),)
        assert (await probe.Unary(DESCRIBE, metadata=explicit)).seen["key"] == "mine"
        with use(CallContext(idempotency_key="handled")):
            assert (await probe.Unary(DESCRIBE)).seen["key"] == "handled"
            assert (await probe.Unary(DESCRIBE, metadata=explicit)).seen["key"] == "mine"
            assert (await probe.Unary(pb.Ask(what="describe", key="field"))).seen["key"] == ""
            assert (await probe.Internal(DESCRIBE)).seen["key"] == ""


class TestRefusals:
    async def test_no_call_inside_a_transaction(self, probe: ProbeStub) -> None:
        with guard():
            for call in (probe.Unary, probe.Down):
                with pytest.raises(ForeignAwait):
                    call(DESCRIBE)
            for stream in (probe.Up, probe.Both):
                with pytest.raises(ForeignAwait):
                    stream()
        await probe.Unary(DESCRIBE)

    async def test_the_platforms_own_metadata_is_not_given_by_hand(self, probe: ProbeStub) -> None:
        with pytest.raises(InvalidMetadata):
            probe.Unary(DESCRIBE, metadata=(("souk-caller", "forged"),))

    async def test_a_closed_channel(self, transport: InProcessTransport) -> None:
        async with Channel(transport) as channel:
            stub = ProbeStub(channel)
        with pytest.raises(grpc.aio.UsageError):
            stub.Unary(DESCRIBE)

    async def test_an_unknown_contract(self, transport: InProcessTransport) -> None:
        with pytest.raises(ConfigurationError):
            Channel(transport).unary_unary("/no.such.Service/Method")


class TestNotSent:
    async def test_in_process_after_the_end(self, transport: InProcessTransport, probe: ProbeStub) -> None:
        hanging = probe.Unary(pb.Ask(what="hang", key="k"))
        stream = probe.Down(pb.Ask(count=1, what="hang", key="s"))
        await probe.Unary(pb.Ask(what="wait-for", notes=["began k"]))
        await transport.close()
        with pytest.raises(CallFailed) as raised:
            await hanging
        assert (raised.value.code(), raised.value.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.UNKNOWN)
        await stream.read()
        with pytest.raises(CallFailed):
            await stream.read()
        for call in (probe.Unary(DESCRIBE), probe.Down(DESCRIBE).read(), probe.Up(iter([DESCRIBE]))):
            with pytest.raises(CallFailed) as raised:
                await call
            assert raised.value.outcome is Outcome.NOT_SENT

    async def test_a_process_ends_gently(self, transport: InProcessTransport, probe: ProbeStub) -> None:
        waiting = probe.Unary(pb.Ask(what="wait-for", notes=["go"]))
        happening = probe.Unary(pb.Ask(what="happen", notes=["go"]))
        await transport.close(grace=5)
        assert (await waiting, await happening) == (pb.Answer(), pb.Answer())

    @pytest.mark.parametrize("addresses", [[], ["127.0.0.1:1"]])
    async def test_no_instance_or_no_connection(self, addresses: list[str]) -> None:
        transport = GrpcTransport(lambda: addresses)
        probe = ProbeStub(Channel(transport))
        for call in (probe.Unary(DESCRIBE), probe.Down(DESCRIBE).read(), probe.Up(iter([DESCRIBE]))):
            with pytest.raises(CallFailed) as raised:
                await call
            assert (raised.value.code(), raised.value.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.NOT_SENT)
        await transport.close()

    async def test_an_instance_that_comes_back_is_found(self) -> None:
        server = await serve(dispatcher())
        transport = GrpcTransport(lambda: [server.address])
        probe = ProbeStub(Channel(transport, tokens=tokens("order")))
        await probe.Unary(DESCRIBE)
        await server.stop()
        with pytest.raises(CallFailed):
            await probe.Unary(DESCRIBE)
        server = await serve(dispatcher(), server.address)
        await probe.Unary(DESCRIBE, wait_for_ready=True, timeout=10)
        await transport.close()
        await server.stop()

    async def test_calls_go_to_each_instance_in_turn_or_where_they_are_sent(self) -> None:
        servers = [await serve(dispatcher()) for _ in range(2)]
        used: list[str] = []

        def sent_to(address: str) -> Layer:
            def layer(inner: Invoke) -> Invoke:
                async def invoke(call: Call) -> Reply:
                    used.append(address)
                    return await inner(call._replace(instance=address))

                return invoke

            return layer

        transport = GrpcTransport(lambda: [server.address for server in servers])
        probe = ProbeStub(Channel(transport))
        for _ in range(2):
            await probe.Unary(pb.Ask(what="happen", notes=["seen"]))
        for server in servers:
            direct = ProbeStub(Channel(transport, layers=[sent_to(server.address)]))
            await direct.Unary(pb.Ask(what="wait-for", notes=["seen"]), timeout=5)
        assert len(set(used)) == 2
        await transport.close()
        for server in servers:
            await server.stop()


class TestLayers:
    async def test_the_first_is_outermost(self, transport: InProcessTransport) -> None:
        seen: list[str] = []

        def named(name: str) -> Layer:
            def layer(inner: Invoke) -> Invoke:
                async def invoke(call: Call) -> Reply:
                    seen.append(name)
                    return await inner(call)

                return invoke

            return layer

        probe = ProbeStub(Channel(transport, layers=[named("retry"), named("breaker")]))
        assert (await probe.Unary(pb.Ask(what="echo", count=2))).number == 2
        assert seen == ["retry", "breaker"]

    async def test_a_layer_may_answer_refuse_or_try_again(self, transport: InProcessTransport) -> None:
        tries: list[bytes] = []

        def again(inner: Invoke) -> Invoke:
            async def invoke(call: Call) -> Reply:
                for _ in range(2):
                    tries.append(call.request)
                    with pytest.raises(CallFailed) as failed:
                        await inner(call)
                    assert failed.value.outcome is Outcome.UNKNOWN
                raise not_sent("the breaker is open")

            return invoke

        call = ProbeStub(Channel(transport, layers=[again])).Unary(pb.Ask(what="fail"))
        with pytest.raises(CallFailed) as raised:
            await call
        assert (raised.value.outcome, await call.code()) == (Outcome.NOT_SENT, grpc.StatusCode.UNAVAILABLE)
        assert tries == [pb.Ask(what="fail").SerializeToString()] * 2

    async def test_cancelling_goes_through_layers(self, transport: InProcessTransport) -> None:
        def through(inner: Invoke) -> Invoke:
            async def invoke(call: Call) -> Reply:
                return await inner(call)

            return invoke

        probe = ProbeStub(Channel(transport, layers=[through]))
        call = probe.Unary(pb.Ask(what="hang", key="k"))
        await probe.Unary(pb.Ask(what="wait-for", notes=["began k"]))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await probe.Unary(pb.Ask(what="wait-for", notes=["cancelled k"]))


async def answered(probe: ProbeStub, request: pb.Ask, timeout: float | None = None) -> tuple[pb.Answer, Pairs]:
    unary = probe.Unary
    assert isinstance(unary, UnaryUnary)
    return await unary.answered(request, timeout)


class TestAnswered:
    """A call that is waited for at once, in the task of who makes it."""

    async def test_it_is_what_awaiting_the_call_is(self, probe: ProbeStub) -> None:
        with use(CallContext(caller=Caller("U-1"), deadline=SystemClock().monotonic() + 3)):
            answer, trailing = await answered(probe, DESCRIBE, 1)
        assert float(answer.seen["deadline"]) <= 1
        assert (answer.seen["subject"], trailing) == ("U-1", ())

    async def test_its_handler_has_a_task_and_a_context_of_its_own(self, probe: ProbeStub) -> None:
        marking = pb.Ask(what="mark-context", key="marked")
        seen = [(await answered(probe, marking))[0].seen for _ in range(2)]
        assert [one["before"] for one in seen] == [seen[0]["before"]] * 2 != ["marked"] * 2
        assert str(id(asyncio.current_task())) not in {one["task"] for one in seen}

    async def test_metadata_after_the_answer_comes_with_it(self, probe: ProbeStub) -> None:
        _, trailing = await answered(probe, pb.Ask(what="send-metadata"))
        assert trailing == (("last", "2"), ("twice", "a"), ("twice", "b"))

    async def test_a_failure_is_raised(self, probe: ProbeStub) -> None:
        with pytest.raises(CallFailed) as raised:
            await answered(probe, pb.Ask(what="abort"))
        assert raised.value.code() is grpc.StatusCode.ABORTED
        with guard(), pytest.raises(ForeignAwait):
            await answered(probe, DESCRIBE)

    async def test_cancelling_it_cancels_the_handler(self, probe: ProbeStub) -> None:
        waiting = asyncio.create_task(answered(probe, pb.Ask(what="hang", key="k")))
        await probe.Unary(pb.Ask(what="wait-for", notes=["began k"]))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await probe.Unary(pb.Ask(what="wait-for", notes=["cancelled k"]))


class TestServicers:
    async def test_a_foreign_service_runs_unchanged(self) -> None:
        class Plain(ForeignServicer):
            async def Unary(self, request: pb.Ask, context: object) -> pb.Answer:
                return pb.Answer(number=request.count)

        made = Dispatcher(None)
        made.add(Plain(), pb.DESCRIPTOR.services_by_name["Foreign"])
        assert (await ForeignStub(Channel(InProcessTransport(made))).Unary(pb.Ask(count=4))).number == 4

    async def test_a_handler_that_is_cancelled_while_it_writes_ends_within_its_call(self) -> None:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        class Endless(ProbeServicer):
            async def Down(self, request: pb.Ask, context: object) -> AsyncIterator[pb.Answer]:
                try:
                    while True:
                        yield pb.Answer(payload=b"x" * 100_000)
                finally:
                    await asyncio.sleep(0)
                    ended.set_result(current().caller.service)

        made = Dispatcher(tokens("probe"))
        made.add(Endless(), PROBE)
        call = ProbeStub(Channel(InProcessTransport(made), tokens=tokens("order"))).Down(DESCRIBE)
        await call.read()
        call.cancel()
        assert await asyncio.wait_for(ended, 30) == "order"

    def test_a_servicer_that_would_block_is_refused(self) -> None:
        class Blocking(ProbeServicer):
            def Unary(self, request: pb.Ask, context: object) -> pb.Answer:
                return pb.Answer()

        with pytest.raises(ConfigurationError, match=r"Blocking\.Unary"):
            Dispatcher(None).add(Blocking(), PROBE)

    async def test_a_handler_over_grpc_starts_without_its_servers_context(self) -> None:
        caller = Caller("U-1", service="order")
        with use(CallContext(caller=caller, idempotency_key="of the starter")):
            server = await serve(dispatcher())
        async with grpc.aio.insecure_channel(server.address) as channel:
            seen = (await ProbeStub(channel).Unary(DESCRIBE)).seen
        assert (seen["subject"], seen["key"]) == ("", "")
        await server.stop()

    async def test_a_port_that_is_taken(self) -> None:
        server = await serve(dispatcher())
        with pytest.raises(ConfigurationError, match="taken"):
            await serve(dispatcher(), server.address)
        await server.stop()


def test_any_grpc_error_has_an_outcome() -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "gone")
    assert (failure_of(error).outcome, failure_of(error).detail) == (Outcome.UNKNOWN, "gone")
    own = not_sent("no")
    assert failure_of(own) is own
