"""Conformance tests of how unary calls end and of a handler's context; plain grpc.aio passes all but `RefusalSuite`."""

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2

from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from souk.testing.probe import probe_pb2 as pb
from souk.testing.rpc.probe import MARK, SECRET
from souk.testing.rpc.suite import failure, fresh, happened

if TYPE_CHECKING:
    from souk.testing.probe.probe_pb2_grpc import ProbeAsyncStub


class EndSuite:
    """Tests that deadline and cancellation end a call at both ends."""

    async def test_a_deadline_ends_it(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        error = await failure(probe.Unary(pb.Ask(what="hang", key=key), timeout=0.1))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "Deadline Exceeded" in (error.details() or "")
        await happened(probe, f"cancelled {key}")
        await happened(probe, f"done {key}")

    async def test_both_ends_know_the_time_that_remains(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Unary(pb.Ask(what="describe"), timeout=7)
        assert 6 < (call.time_remaining() or 0) <= 7
        assert 6 < float((await call).seen["remaining"]) <= 7.2  # gRPC rounds up what it sends

    async def test_cancel_ends_it(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Unary(pb.Ask(what="hang", key=key))
        await happened(probe, f"began {key}")
        assert (call.cancel(), call.cancel()) == (True, False)
        assert (call.done(), call.cancelled(), await call.code()) == (True, True, grpc.StatusCode.CANCELLED)
        assert await call.details() == "Locally cancelled by application!"
        with pytest.raises(asyncio.CancelledError):
            await call
        await happened(probe, f"cancelled {key}")
        await happened(probe, f"done {key}")

    async def test_cancelling_whoever_waits_cancels_it(self, probe: "ProbeAsyncStub") -> None:
        key = fresh()
        call = probe.Unary(pb.Ask(what="hang", key=key))

        async def wait() -> None:
            await call

        waiting = asyncio.create_task(wait())
        await happened(probe, f"began {key}")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await happened(probe, f"cancelled {key}")
        assert call.cancelled()

    async def test_it_goes_on_when_nobody_waits(self, probe: "ProbeAsyncStub") -> None:
        event = fresh()
        call = probe.Unary(pb.Ask(what="happen", notes=[event]))
        await happened(probe, event)
        await call

    async def test_done_callbacks(self, probe: "ProbeAsyncStub") -> None:
        for what in ("echo", "fail"):
            called: asyncio.Queue[object] = asyncio.Queue()
            call = probe.Unary(pb.Ask(what=what))
            call.add_done_callback(called.put_nowait)
            assert await asyncio.wait_for(called.get(), 30) is call
            call.add_done_callback(called.put_nowait)
            assert await asyncio.wait_for(called.get(), 30) is call

    async def test_an_answer_can_be_awaited_again(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Unary(pb.Ask(what="echo", count=3))
        assert (await call).number == (await call).number == 3


class HandlerSuite:
    """Tests of the context in which a handler runs."""

    async def test_a_context_of_its_own(self, probe: "ProbeAsyncStub") -> None:
        first = await probe.Unary(pb.Ask(what="mark-context", key="one"))
        second = await probe.Unary(pb.Ask(what="mark-context", key="two"))
        assert (first.seen["before"], second.seen["before"]) == ("", "")

    async def test_nothing_of_its_caller_but_what_was_sent(self, probe: "ProbeAsyncStub") -> None:
        MARK.set("the caller's")
        described = (await probe.Unary(pb.Ask(what="mark-context", key="the handler's"))).seen
        assert (described["before"], MARK.get()) == ("", "the caller's")
        assert described["task"] != str(id(asyncio.current_task()))

    async def test_it_sees_its_call(self, probe: "ProbeAsyncStub") -> None:
        described = (await probe.Unary(pb.Ask(what="describe"))).seen
        assert described["peer"] != ""
        same = ("code", "details", "cancelled", "done", "identities")
        assert [described[name] for name in same] == ["None", "", "False", "False", "None"]


class RefusalSuite:
    """Tests of what Souk adds to gRPC: refusals by contract, and no internal text in any status."""

    async def test_a_listed_reason_is_a_refusal(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="refuse")))
        assert isinstance(error, CallFailed)
        assert (error.code(), error.detail) == (grpc.StatusCode.FAILED_PRECONDITION, "only 2 left")
        assert (error.outcome, error.reason, error.final) == (Outcome.REFUSED, "OUT_OF_STOCK", True)
        assert error.messages == (error_details_pb2.ResourceInfo(resource_name="P-101"),)
        assert (error.retry_after, error.breaker_failure) == (1.5, False)

    async def test_a_listed_reason_is_a_refusal_whatever_its_code(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="provider-down")))
        assert isinstance(error, CallFailed)
        assert (error.code(), error.outcome) == (grpc.StatusCode.UNAVAILABLE, Outcome.REFUSED)
        assert (error.final, error.breaker_failure) == (False, True)

    async def test_another_services_reason_is_not(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="forge-reason")))
        assert isinstance(error, CallFailed)
        assert (error.outcome, error.reason) == (Outcome.UNKNOWN, "")

    @pytest.mark.parametrize("count", [2, 500])
    async def test_wrong_fields_are_named(self, probe: "ProbeAsyncStub", count: int) -> None:
        error = await failure(probe.Unary(pb.Ask(what="refuse-fields", count=count)))
        assert isinstance(error, CallFailed)
        assert (error.code(), error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        (request,) = error.messages
        assert isinstance(request, error_details_pb2.BadRequest)
        assert request.field_violations[1].field == "items[1].quantity"

    @pytest.mark.parametrize(
        "what", ["fail", "refuse-unlisted", "fail-with-cancelled", "answer-wrong-type", "set-code-and-fail"]
    )
    async def test_nothing_internal_leaks(self, probe: "ProbeAsyncStub", what: str) -> None:
        error = await failure(probe.Unary(pb.Ask(what=what)))
        assert isinstance(error, CallFailed)
        assert (error.details(), error.outcome) == ("", Outcome.UNKNOWN)
        assert error.code() is (grpc.StatusCode.NOT_FOUND if what.startswith("set-code") else grpc.StatusCode.UNKNOWN)
        assert SECRET not in repr(error) + repr(error.trailing_metadata())

    @pytest.mark.parametrize("what", ["lose-the-store", "be-overloaded"])
    async def test_what_may_work_later_is_unavailable(self, probe: "ProbeAsyncStub", what: str) -> None:
        error = await failure(probe.Unary(pb.Ask(what=what)))
        assert isinstance(error, CallFailed)
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "")
        assert error.outcome is Outcome.UNKNOWN
        assert SECRET not in repr(error) + repr(error.trailing_metadata())

    async def test_long_details_arrive(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="refuse-at-length", count=5_600)))
        assert isinstance(error, CallFailed)
        assert error.messages == (error_details_pb2.DebugInfo(detail="x" * 5_600),)

    async def test_longer_ones_leave_the_reason(self, probe: "ProbeAsyncStub") -> None:
        error = await failure(probe.Unary(pb.Ask(what="refuse-at-length", count=6_000)))
        assert isinstance(error, CallFailed)
        assert (error.reason, error.messages) == ("OUT_OF_STOCK", ())

    @pytest.mark.parametrize("count", [0, 1])
    @pytest.mark.parametrize("position", ["initial", "trailing", "abort", "refuse"])
    async def test_metadata_that_cannot_be_sent_is_internal(
        self, probe: "ProbeAsyncStub", position: str, count: int
    ) -> None:
        error = await failure(probe.Unary(pb.Ask(what="wrong-metadata", key=position, count=count), timeout=5))
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "Invalid metadata")

    async def test_other_metadata_may_take_its_place(self, probe: "ProbeAsyncStub") -> None:
        call = probe.Unary(pb.Ask(what="wrong-metadata", key="other", count=1))
        assert tuple(await call.trailing_metadata()) == (("a", "1"),)
        assert await call.code() is grpc.StatusCode.OK

    async def test_no_call_is_without_a_deadline(self, probe: "ProbeAsyncStub") -> None:
        described = (await probe.Unary(pb.Ask(what="describe"))).seen
        assert 19 < float(described["remaining"]) <= 20.5
        assert 19 < float(described["deadline"]) <= 20.5

    @pytest.mark.parametrize("timeout", [0, -1])
    async def test_a_deadline_that_has_passed(self, probe: "ProbeAsyncStub", timeout: float) -> None:
        error = await failure(probe.Unary(pb.Ask(what="echo"), timeout=timeout))
        assert isinstance(error, CallFailed)
        assert (error.code(), error.outcome) == (grpc.StatusCode.DEADLINE_EXCEEDED, Outcome.NOT_SENT)
