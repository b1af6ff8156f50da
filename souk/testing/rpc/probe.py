"""The servicer for the conformance suites of calls: a plain grpc.aio servicer whose requests say what it must do.

python -m souk.testing.rpc.probe        serves it over gRPC and over Connect until its input ends, and prints
                                        both addresses in one line
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from souk.kernel.clock import SystemClock
from souk.kernel.context import current
from souk.kernel.errors import DomainError, InvalidArgument, Overloaded, StoreUnavailable, Violation
from souk.rpc.caller_token import CallerTokens
from souk.rpc.connect.server import serve_connect
from souk.rpc.grpc.server import serve
from souk.rpc.server.dispatcher import Dispatcher
from souk.telemetry.logs import LogSettings, configure
from souk.testing.probe import probe_pb2 as pb
from souk.testing.probe import probe_pb2_grpc

KEY = b"a key that only the tests' processes share"
SECRET = "password=hunter2"

Context = grpc.aio.ServicerContext[Any, Any]
MARK: ContextVar[str] = ContextVar("mark", default="")


def tokens(service: str) -> CallerTokens:
    """Makes the caller tokens of a service."""
    return CallerTokens(KEY, service, SystemClock())


class _Status(grpc.Status):
    def __init__(self, code: grpc.StatusCode, details: str, trailing: Any) -> None:
        self.code, self.details, self.trailing_metadata = code, details, trailing


class Probe(probe_pb2_grpc.ProbeServicer):
    """Does what each request says, and sets named events, for which the request `wait-for` waits."""

    def __init__(self) -> None:
        self.events: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def Unary(self, request: pb.Ask, context: Context) -> pb.Answer:
        self._report_end(request, context)
        do = getattr(self, "_" + request.what.replace("-", "_"))
        answer: pb.Answer = await do(request, context)
        return answer

    async def Down(self, request: pb.Ask, context: Context) -> AsyncIterator[pb.Answer]:
        self._report_end(request, context)
        try:
            for number in range(request.count):
                yield pb.Answer(number=number, payload=request.payload)
            self.events[f"written {request.key}"].set()
            if request.what:
                await getattr(self, "_" + request.what.replace("-", "_"))(request, context)
        except (asyncio.CancelledError, GeneratorExit):  # GeneratorExit when it is cancelled while an answer is written
            self.events[f"cancelled {request.key}"].set()
            raise

    async def Up(self, request_iterator: AsyncIterator[pb.Ask], context: Context) -> pb.Answer:
        total, size = 0, 0
        async for request in request_iterator:
            total, size = total + request.count, size + len(request.payload)
            if request.key:
                self._report_end(request, context)
            if request.what:
                await getattr(self, "_" + request.what.replace("-", "_"))(request, context)
        context.set_trailing_metadata((("size", str(size)),))
        return pb.Answer(number=total)

    async def Both(self, request_iterator: AsyncIterator[pb.Ask], context: Context) -> AsyncIterator[pb.Answer]:
        async for request in request_iterator:
            if request.what:
                await getattr(self, "_" + request.what.replace("-", "_"))(request, context)
            yield pb.Answer(number=request.count, payload=request.payload)

    # The generated types do not allow a handler that writes; grpc.aio does.
    async def ReadWrite(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.Ask], context: Context
    ) -> None:
        await context.send_initial_metadata((("style", "read and write"),))
        while (request := await context.read()) is not grpc.aio.EOF:
            if request.what:
                await getattr(self, "_" + request.what.replace("-", "_"))(request, context)
            await context.write(pb.Answer(number=request.count, payload=request.payload))
        context.set_trailing_metadata((("ended", "yes"),))

    async def Internal(self, request: pb.Ask, context: Context) -> pb.Answer:
        return await self._describe(request, context)

    async def Guarded(self, request: pb.Ask, context: Context) -> pb.Answer:
        return await self._describe(request, context)

    def _report_end(self, request: pb.Ask, context: Any) -> None:
        event = self.events[f"done {request.key}"]
        context.add_done_callback(lambda _: event.set())

    async def _echo(self, request: pb.Ask, context: Context) -> pb.Answer:
        return pb.Answer(payload=request.payload, number=request.count, notes=request.notes)

    async def _scribble(self, request: pb.Ask, context: Context) -> pb.Answer:
        request.notes.append("written by the handler")
        answer = pb.Answer(notes=request.notes)
        self.kept = answer
        return answer

    async def _what_was_kept(self, request: pb.Ask, context: Context) -> pb.Answer:
        return self.kept

    async def _describe(self, request: pb.Ask, context: Context) -> pb.Answer:
        call = current()
        remaining = context.time_remaining()
        return pb.Answer(
            seen={
                "peer": context.peer(),
                "remaining": "" if remaining is None else f"{remaining:.3f}",
                "deadline": "" if call.deadline is None else f"{call.deadline - SystemClock().monotonic():.3f}",
                "subject": call.caller.subject,
                "service": call.caller.service,
                "roles": ",".join(sorted(call.caller.roles)),
                "traceparent": call.traceparent,
                "key": call.idempotency_key,
                "code": repr(context.code()),
                "details": context.details(),
                "cancelled": repr(context.cancelled()),
                "done": repr(context.done()),
                "auth": repr(context.auth_context()),
                "identities": repr(context.peer_identities()),
            }
        )

    async def _metadata(self, request: pb.Ask, context: Context) -> pb.Answer:
        pairs = [(key, value) for key, value in context.invocation_metadata() or () if key != "user-agent"]
        return pb.Answer(seen={str(position): repr(pair) for position, pair in enumerate(pairs)})

    async def _mark_context(self, request: pb.Ask, context: Context) -> pb.Answer:
        before = MARK.get()
        MARK.set(request.key)
        return pb.Answer(seen={"before": before, "task": str(id(asyncio.current_task()))})

    async def _send_metadata(self, request: pb.Ask, context: Context) -> pb.Answer:
        await context.send_initial_metadata((("first", "1"), ("raw-bin", b"\x00\xff")))
        context.set_trailing_metadata((("last", "2"), ("twice", "a"), ("twice", "b")))
        return pb.Answer()

    async def _initial_twice(self, request: pb.Ask, context: Context) -> pb.Answer:
        await context.send_initial_metadata(())
        try:
            await context.send_initial_metadata(())
        except grpc.aio.UsageError:
            return pb.Answer(seen={"second": "refused"})
        return pb.Answer()

    async def _initial_size(self, request: pb.Ask, context: Context) -> pb.Answer:
        await context.send_initial_metadata((("large", "x" * request.count),))
        return pb.Answer()

    async def _trailing_size(self, request: pb.Ask, context: Context) -> pb.Answer:
        context.set_trailing_metadata((("large", "x" * request.count),))
        return pb.Answer()

    async def _trailing_invalid(self, request: pb.Ask, context: Context) -> pb.Answer:
        context.set_trailing_metadata((("Upper", "x"),))
        return pb.Answer()

    async def _wrong_metadata(self, request: pb.Ask, context: Context) -> pb.Answer:
        wrong: Any = (("a-bin", "text"),) if request.count else (("Upper", "x"),)
        if request.key == "initial":
            await context.send_initial_metadata(wrong)
        if request.key == "abort":
            await context.abort(grpc.StatusCode.ABORTED, "as told", wrong)
        context.set_trailing_metadata(wrong)
        if request.key == "refuse":
            raise DomainError("OUT_OF_STOCK", "only 2 left")
        if request.key == "other":
            context.set_trailing_metadata((("a", "1"),))
        return pb.Answer()

    async def _refuse_at_length(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise DomainError("OUT_OF_STOCK", "left", error_details_pb2.DebugInfo(detail="x" * request.count))

    async def _large(self, request: pb.Ask, context: Context) -> pb.Answer:
        return pb.Answer(payload=b"x" * request.count)

    async def _abort(self, request: pb.Ask, context: Context) -> pb.Answer:
        await context.abort(grpc.StatusCode.ABORTED, "as told", (("why", "told"),))

    async def _abort_keeping(self, request: pb.Ask, context: Context) -> pb.Answer:
        context.set_trailing_metadata((("kept", "yes"),))
        context.set_details("said before")
        await context.abort(grpc.StatusCode.DATA_LOSS)

    async def _abort_with_status(self, request: pb.Ask, context: Context) -> pb.Answer:
        await context.abort_with_status(_Status(grpc.StatusCode.NOT_FOUND, "by status", (("why", "status"),)))

    async def _abort_suppressed(self, request: pb.Ask, context: Context) -> pb.Answer:
        with suppress(BaseException):
            await context.abort(grpc.StatusCode.ABORTED, "as told")
        return pb.Answer(number=7)

    async def _set_code(self, request: pb.Ask, context: Context) -> pb.Answer:
        context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        context.set_details("set")
        return pb.Answer(number=7)

    async def _set_code_and_fail(self, request: pb.Ask, context: Context) -> pb.Answer:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        raise RuntimeError(SECRET)

    async def _fail(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise RuntimeError(SECRET)

    async def _lose_the_store(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise StoreUnavailable(SECRET)

    async def _be_overloaded(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise Overloaded(SECRET)

    async def _fail_with_cancelled(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise asyncio.CancelledError

    async def _answer_wrong_type(self, request: pb.Ask, context: Context) -> Any:
        return pb.Ask(what=SECRET)

    async def _refuse(self, request: pb.Ask, context: Context) -> pb.Answer:
        missing = error_details_pb2.ResourceInfo(resource_name="P-101")
        raise DomainError("OUT_OF_STOCK", "only 2 left", missing, retry_after=1.5)

    async def _provider_down(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise DomainError("PROVIDER_DOWN", "the provider failed without a charge")

    async def _refuse_unlisted(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise DomainError("SOMETHING_ELSE", SECRET)

    async def _refuse_fields(self, request: pb.Ask, context: Context) -> pb.Answer:
        raise InvalidArgument([Violation(f"items[{n}].quantity", "must be 1 to 1000") for n in range(request.count)])

    async def _forge_reason(self, request: pb.Ask, context: Context) -> pb.Answer:
        status = status_pb2.Status()
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="OUT_OF_STOCK", domain="another"))
        trailing = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "forwarded", trailing)

    async def _hang(self, request: pb.Ask, context: Context) -> pb.Answer:
        self.events[f"began {request.key}"].set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.events[f"cancelled {request.key}"].set()
            raise
        return pb.Answer()

    async def _wait_for(self, request: pb.Ask, context: Context) -> pb.Answer:
        await self.events[request.notes[0]].wait()
        return pb.Answer()

    async def _happen(self, request: pb.Ask, context: Context) -> pb.Answer:
        self.events[request.notes[0]].set()
        return pb.Answer()


async def _main() -> None:
    configure(LogSettings(), sys.stderr)  # stdout is for the addresses alone
    dispatcher = Dispatcher(tokens("probe"))
    dispatcher.add(Probe(), pb.DESCRIPTOR.services_by_name["Probe"])  # type: ignore[abstract]  # Missing is missing
    server, connect = await serve(dispatcher), await serve_connect(dispatcher)
    print(server.address, connect.address, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(server.stop(1.0), connect.stop(1.0))


if __name__ == "__main__":
    asyncio.run(_main())
