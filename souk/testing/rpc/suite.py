"""The conformance suite of transports for unary calls; plain grpc.aio passes it too.

A test module derives from the suites and gives the fixture `probe`, a stub of `souk.testing.rpc.probe.Probe`.
"""

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import grpc.aio
import pytest

from souk.rpc.transport import MESSAGE_LIMIT
from souk.testing.probe import probe_pb2 as pb

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub

OTHERS = ("souk-caller", "traceparent")


def fresh() -> str:
    """Makes a key that no other test uses."""
    return uuid4().hex


async def happened(probe: "ProbeAsyncStub", event: str) -> None:
    """Waits until the servicer has set an event."""
    await probe.Unary(pb.Ask(what="wait-for", notes=[event]), timeout=5)


async def failure(call: object) -> grpc.aio.AioRpcError:
    """Returns the error that a call raises."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call  # type: ignore[misc]  # any kind of call
    return raised.value


async def received_pairs(probe: "ProbeAsyncStub", metadata: object) -> list[str]:
    """Returns the given metadata that arrives at the handler, in order."""
    answer = await probe.Unary(pb.Ask(what="metadata"), metadata=metadata)  # type: ignore[arg-type]  # the stub wants one class
    pairs = [answer.seen[str(index)] for index in range(len(answer.seen))]
    return [pair for pair in pairs if not any(other in pair for other in OTHERS)]


class MessageSuite:
    """Tests that messages are copied, and limited in size."""

    async def test_answers_what_it_was_asked(self, probe: "ProbeAsyncStub") -> None:
        answer = await probe.Unary(pb.Ask(what="echo", count=3, payload=b"\x00\xff", notes=["a", "b"]))
        assert answer == pb.Answer(number=3, payload=b"\x00\xff", notes=["a", "b"])

    async def test_handler_and_caller_share_no_message(self, probe: "ProbeAsyncStub") -> None:
        ask = pb.Ask(what="scribble", notes=["mine"])
        answer = await probe.Unary(ask)
        assert list(ask.notes) == ["mine"]
        answer.notes.append("written by the caller")
        kept = await probe.Unary(pb.Ask(what="what-was-kept"))
        assert list(kept.notes) == ["mine", "written by the handler"]

    async def test_a_request_is_as_it_was_when_sent(self, probe: "ProbeAsyncStub") -> None:
        ask = pb.Ask(what="echo", count=1)
        call = probe.Unary(ask)
        await asyncio.sleep(0)
        ask.count = 2
        assert (await call).number == 1

    async def test_four_mebibytes_pass(self, probe: "ProbeAsyncStub") -> None:
        answer = await probe.Unary(pb.Ask(what="large", count=MESSAGE_LIMIT - 100))
        assert len(answer.payload) == MESSAGE_LIMIT - 100

    async def test_a_larger_request_is_refused(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="echo", payload=b"x" * MESSAGE_LIMIT)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "SERVER: Received message larger than max" in (error.details() or "")

    async def test_a_larger_answer_is_refused(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="large", count=MESSAGE_LIMIT)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "CLIENT: Received message larger than max" in (error.details() or "")


class StatusSuite:
    """Tests that the caller gets the status with which a handler ends a call."""

    async def test_abort(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="abort")))
        assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "as told")
        assert tuple(error.trailing_metadata()) == (("why", "told"),)

    async def test_abort_keeps_what_was_set_before(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="abort-keeping")))
        assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "said before")
        assert tuple(error.trailing_metadata()) == (("kept", "yes"),)

    async def test_abort_with_status(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="abort-with-status")))
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "by status")
        assert tuple(error.trailing_metadata()) == (("why", "status"),)

    async def test_abort_cannot_be_suppressed(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="abort-suppressed")))
        assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "as told")

    async def test_a_code_that_is_set_ends_the_call(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="set-code")))
        assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "set")

    async def test_a_code_that_is_set_survives_an_exception(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="set-code-and-fail")))
        assert error.code() is grpc.StatusCode.NOT_FOUND

    async def test_an_unexpected_exception_is_unknown(self, probe: "ProbeAsyncStub") -> None:
        assert (await failure(probe.Unary(pb.Ask(what="fail")))).code() is grpc.StatusCode.UNKNOWN

    async def test_a_method_that_is_not_there(self, probe: "ProbeAsyncStub") -> None:
        assert (await failure(probe.Missing(pb.Ask()))).code() is grpc.StatusCode.UNIMPLEMENTED

    async def test_the_call_object_tells_the_same_as_the_error(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Unary(pb.Ask(what="abort"))
        await failure(call)
        assert (await call.code(), await call.details()) == (grpc.StatusCode.ABORTED, "as told")
        assert tuple(await call.trailing_metadata()) == (("why", "told"),)
        assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)
        await failure(call)


class MetadataSuite:
    """Tests that metadata goes both ways, by gRPC's rules."""

    async def test_pairs_arrive(self, probe: "ProbeAsyncStub") -> None:
        given = (("raw-bin", b"\x00\xff"), ("a_b.c-9", ""), ("s", " x "))
        assert sorted(await received_pairs(probe, given)) == sorted(repr(pair) for pair in given)

    async def test_values_of_a_key_arrive_in_order(self, probe: "ProbeAsyncStub") -> None:
        pairs = await received_pairs(probe, (("b", "1"), ("a", "2"), ("b", "3"), ("b", "2")))
        assert [pair for pair in pairs if "'b'" in pair] == ["('b', '1')", "('b', '3')", "('b', '2')"]

    async def test_octets_under_a_text_key_arrive_as_text(self, probe: "ProbeAsyncStub") -> None:
        assert await received_pairs(probe, (("a", b"text"),)) == ["('a', 'text')"]

    async def test_metadata_may_be_given_as_such(self, probe: "ProbeAsyncStub") -> None:
        assert await received_pairs(probe, grpc.aio.Metadata(("a", "1"), ("a", "2"))) == ["('a', '1')", "('a', '2')"]

    @pytest.mark.parametrize("key", ["grpc-timeout", "te", "content-type"])
    async def test_what_grpc_writes_itself_is_dropped(self, probe: "ProbeAsyncStub", key: str) -> None:
        assert await received_pairs(probe, ((key, "1"), ("a", "1"))) == ["('a', '1')"]

    @pytest.mark.parametrize("key", ["Upper", "a b", "", ":path", "a~", "ä"])
    async def test_a_wrong_key_is_refused(self, probe: "ProbeAsyncStub", key: str) -> None:
        with pytest.raises(grpc.aio.InternalError):
            await probe.Unary(pb.Ask(what="echo"), metadata=((key, "x"),))

    @pytest.mark.parametrize("value", ["ü", "a\nb", b"\xff", "\x7f"])
    async def test_a_wrong_value_is_refused(self, probe: "ProbeAsyncStub", value: str | bytes) -> None:
        with pytest.raises(grpc.aio.InternalError):
            await probe.Unary(pb.Ask(what="echo"), metadata=(("a", value),))

    @pytest.mark.parametrize(("key", "value"), [("a-bin", "text"), ("a", 3)])
    async def test_a_value_of_the_wrong_type_is_refused(self, probe: "ProbeAsyncStub", key: str, value: object) -> None:
        with pytest.raises(TypeError):
            await probe.Unary(pb.Ask(what="echo"), metadata=((key, value),))  # type: ignore[arg-type]  # wrong on purpose

    async def test_under_8_kibibytes_pass(self, probe: "ProbeAsyncStub") -> None:
        assert await probe.Unary(pb.Ask(what="echo"), metadata=(("large", "x" * 7_000),)) == pb.Answer()

    async def test_more_than_8_kibibytes_are_refused(self, probe: "ProbeAsyncStub") -> None:
        for size in (8_000, 20_000):
            error = await failure(probe.Unary(pb.Ask(what="echo"), metadata=(("large", "x" * size),)))
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_initial_and_trailing_metadata(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Unary(pb.Ask(what="send-metadata"))
        assert tuple(await call.initial_metadata()) == (("first", "1"), ("raw-bin", b"\x00\xff"))
        assert tuple(await call.trailing_metadata()) == (("last", "2"), ("twice", "a"), ("twice", "b"))
        assert (await call.code(), await call.details()) == (grpc.StatusCode.OK, "")

    async def test_initial_metadata_goes_once(self, probe: "ProbeAsyncStub") -> None:
        assert (await probe.Unary(pb.Ask(what="initial-twice"))).seen["second"] == "refused"

    @pytest.mark.parametrize("what", ["initial-size", "trailing-size"])
    async def test_a_callee_has_8_kibibytes_too(self, probe: "ProbeAsyncStub", what: str) -> None:
        assert await probe.Unary(pb.Ask(what=what, count=7_000)) == pb.Answer()
        error = await failure(probe.Unary(pb.Ask(what=what, count=9_000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_a_callees_wrong_key_is_internal(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="trailing-invalid")))
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "Invalid metadata")
