"""The conformance suite of transports for streaming calls; plain grpc.aio passes all but `HeldSuite`."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from souk.rpc.transport import MESSAGE_LIMIT
from souk.testing.probe import probe_pb2 as pb
from souk.testing.rpc.suite import failure, fresh, happened

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub

BLOCK = b"x" * 10_000


def asks(*counts: int) -> Iterator[pb.Ask]:
    """Makes a request for each count."""
    return (pb.Ask(count=count) for count in counts)


async def later(*counts: int) -> AsyncIterator[pb.Ask]:
    """Yields a request for each count, asynchronously."""
    for count in counts:
        await asyncio.sleep(0)
        yield pb.Ask(count=count)


class ShapeSuite:
    """Tests of all kinds of streaming calls, in both styles, at both ends."""

    async def test_down(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Down(pb.Ask(count=3))
        assert [answer.number async for answer in call] == [0, 1, 2]
        assert (await call.code(), call.done()) == (grpc.StatusCode.OK, True)

    async def test_down_by_reading(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Down(pb.Ask(count=2))
        assert [(await call.read()).number, (await call.read()).number] == [0, 1]  # type: ignore[attr-defined]  # not at its end
        assert await call.read() is grpc.aio.EOF
        assert await call.read() is grpc.aio.EOF

    async def test_nothing_down(self, probe: "ProbeAsyncStub") -> None:
        assert [answer async for answer in probe.Down(pb.Ask(count=0))] == []

    @pytest.mark.parametrize("requests", [asks, later])
    async def test_up(self, probe: "ProbeAsyncStub", requests: type) -> None:
        call = probe.Up(requests(1, 2, 3))
        assert (await call).number == 6
        assert tuple(await call.trailing_metadata()) == (("size", "0"),)

    async def test_up_by_writing(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Up()
        for ask in asks(1, 2):
            await call.write(ask)
        await call.done_writing()
        await call.done_writing()
        assert (await call).number == 3

    @pytest.mark.parametrize("method", ["Both", "ReadWrite"])
    async def test_both(self, probe: "ProbeAsyncStub", method: str) -> None:
        assert [answer.number async for answer in getattr(probe, method)(later(1, 2, 3))] == [1, 2, 3]

    @pytest.mark.parametrize("method", ["Both", "ReadWrite"])
    async def test_both_in_turn(self, probe: "ProbeAsyncStub", method: str) -> None:
        call = getattr(probe, method)()
        for count in (1, 2, 3):
            await call.write(pb.Ask(count=count))
            assert (await call.read()).number == count
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK

    async def test_metadata_of_a_stream(self, probe: "ProbeAsyncStub") -> None:
        call = probe.ReadWrite()
        assert tuple(await call.initial_metadata()) == (("style", "read and write"),)
        await call.done_writing()
        assert tuple(await call.trailing_metadata()) == (("ended", "yes"),)

    async def test_styles_do_not_mix(self, probe: "ProbeAsyncStub") -> None:
        fed, read = probe.Both(asks(1)), probe.Down(pb.Ask(count=2))
        with pytest.raises(grpc.aio.UsageError):
            await fed.write(pb.Ask())
        await read.read()
        with pytest.raises(grpc.aio.UsageError):
            aiter(read)
        assert [answer.number async for answer in fed] == [1]
        read.cancel()

    async def test_writing_after_the_end(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Up()
        await call.done_writing()
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(pb.Ask())
        await call


class StreamEndSuite:
    """Tests of how a stream ends."""

    async def test_messages_before_a_status_arrive(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Down(pb.Ask(count=3, what="abort"))
        assert [(await call.read()).number for _ in range(3)] == [0, 1, 2]  # type: ignore[attr-defined]  # not at its end
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.ABORTED, "as told")

    async def test_a_failure_in_the_middle(self, probe: "ProbeAsyncStub") -> None:
        call = probe.ReadWrite()
        await call.write(pb.Ask(count=1))
        assert (await call.read()).number == 1  # type: ignore[attr-defined]  # not at its end
        await call.write(pb.Ask(what="fail"))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() is grpc.StatusCode.UNKNOWN

    async def test_abort_of_a_callers_stream(self, probe: "ProbeAsyncStub") -> None:
        assert (await failure(probe.Up(iter([pb.Ask(what="abort")])))).code() is grpc.StatusCode.ABORTED

    async def test_a_deadline_ends_a_stream(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Down(pb.Ask(count=1, what="hang", key=key), timeout=0.3)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            _ = [answer async for answer in call]
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await happened(probe, f"cancelled {key}")

    async def test_cancel_ends_a_stream(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Down(pb.Ask(count=1, what="hang", key=key))
        await call.read()
        assert call.cancel()
        assert not call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        assert (await call.code(), call.cancelled(), call.done()) == (grpc.StatusCode.CANCELLED, True, True)
        await happened(probe, f"cancelled {key}")
        await happened(probe, f"done {key}")

    async def test_cancel_ends_a_callers_stream(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Up()
        await call.write(pb.Ask(key=key, what="happen", notes=[f"began {key}"]))
        await happened(probe, f"began {key}")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        # Not "cancelled": over gRPC a handler that is reading may see the end of the requests first.
        await happened(probe, f"done {key}")

    async def test_a_reader_that_is_cancelled_ends_a_stream(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Down(pb.Ask(count=1, what="hang", key=key))

        async def drain() -> None:
            async for _ in call:
                pass

        reading = asyncio.create_task(drain())
        await happened(probe, f"began {key}")
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await happened(probe, f"cancelled {key}")

    async def test_requests_that_fail_cancel_the_call(self, probe: "ProbeAsyncStub") -> None:
        async def broken() -> AsyncIterator[pb.Ask]:
            yield pb.Ask(count=1)
            raise RuntimeError("the caller's own")

        call = probe.Up(broken())
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await call.code() is grpc.StatusCode.CANCELLED

    async def test_done_callbacks_of_a_stream(self, probe: "ProbeAsyncStub") -> None:
        called: asyncio.Queue[object] = asyncio.Queue()
        call = probe.Down(pb.Ask(count=1))
        call.add_done_callback(called.put_nowait)
        assert [answer.number async for answer in call] == [0]
        assert await asyncio.wait_for(called.get(), 30) is call


class FlowSuite:
    """Tests that the buffers of a stream are bounded."""

    async def test_a_callee_waits_for_a_slow_reader(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Down(pb.Ask(count=2_000, payload=BLOCK, key=key))
        await call.read()
        still = await failure(probe.Unary(pb.Ask(what="wait-for", notes=[f"written {key}"]), timeout=0.4))
        assert still.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        count = 1
        while await call.read() is not grpc.aio.EOF:
            count += 1
        assert count == 2_000
        await happened(probe, f"written {key}")

    async def test_cancel_ends_a_callee_that_writes(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Down(pb.Ask(count=1_000_000, payload=BLOCK, key=key))
        await call.read()
        assert call.cancel()
        await happened(probe, f"cancelled {key}")
        await happened(probe, f"done {key}")

    async def test_a_caller_waits_for_a_slow_callee(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Up()
        await call.write(pb.Ask(what="wait-for", notes=[f"go {key}"]))

        async def fill() -> None:
            for _ in range(2_000):
                await call.write(pb.Ask(count=1, payload=BLOCK))
            await call.done_writing()

        filling = asyncio.create_task(fill())
        await asyncio.wait([filling], timeout=0.4)
        assert not filling.done()
        await probe.Unary(pb.Ask(what="happen", notes=[f"go {key}"]))
        assert (await call).number == 2_000
        await filling

    @pytest.mark.parametrize("method", ["Up", "ReadWrite"])
    async def test_a_larger_message_up_ends_it(self, probe: "ProbeAsyncStub", method: str) -> None:
        call = getattr(probe, method)(iter([pb.Ask(payload=b"x" * (MESSAGE_LIMIT + 1))]))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await (call if method == "Up" else call.read())
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_a_larger_message_down_ends_it(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Both(iter([pb.Ask(payload=b"x" * (MESSAGE_LIMIT - 5), count=1_000_000)]))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_streams_do_not_share_messages(self, probe: "ProbeAsyncStub") -> None:
        ask = pb.Ask(count=1)
        call = probe.Both()
        await call.write(ask)
        ask.count = 2
        await call.write(ask)
        await call.done_writing()
        assert [answer.number async for answer in call] == [1, 2]


class HeldSuite:
    """Tests of what Souk adds to gRPC's streams."""

    async def test_a_stream_that_nobody_holds_is_cancelled(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Down(pb.Ask(count=1, what="hang", key=key))
        await call.read()
        del call
        gc.collect()
        await happened(probe, f"cancelled {key}")
