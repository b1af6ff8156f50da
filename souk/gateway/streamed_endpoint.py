"""The pipelines of methods with a stream in them: replies that are sent as they come, files that arrive in parts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from souk.descriptors.http_rule import WHOLE
from souk.descriptors.protojson.writer import dumps
from souk.gateway.endpoint import Pipeline
from souk.gateway.http.answers import Answer, BodyLost, HttpAnswer, StreamedAnswer
from souk.gateway.http.connection import WhileConnected
from souk.gateway.http.problem import Problem, problem_of
from souk.gateway.http.request import Request
from souk.gateway.settings import GatewaySettings
from souk.gateway.transcoding.answer import AnswerWriter, content_type
from souk.gateway.transcoding.body import UploadBody
from souk.gateway.transcoding.streams import StreamFormat, format_for
from souk.gateway.transcoding.transcoder import Transcoder
from souk.rpc.call import failure_of

_NO_STORE = (b"cache-control", b"no-store")


@dataclass(frozen=True, slots=True)
class StreamPipeline(Pipeline):
    """Answers with the stream of a method's replies. The first is awaited, so that a refusal has its own status.

    A client that leaves ends the call, and so does the method's time-out. The next reply is read when the client has
    taken the one before.
    """

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> Answer:
        method, writer = self.transcoder.method, self.transcoder.writer
        message, context = await self.admitted(request, captures)
        call = self.backend.stream(method, message, context)
        try:
            with WhileConnected(request):
                first = await call.read()
        except grpc.aio.AioRpcError as error:
            raise problem_of(failure_of(error), method) from error
        status = method.policy.success_status
        if writer.raw:
            kind = content_type(HttpBody() if first is grpc.aio.EOF else writer.octets(first))
            return StreamedAnswer(status, [(b"content-type", kind), _NO_STORE], self._octets(call, first))
        chosen = format_for(request.header(b"accept"))
        headers = [(b"content-type", chosen.media_type.encode()), _NO_STORE, (b"vary", b"accept")]
        return StreamedAnswer(status, headers, self._documents(call, first, chosen, request.request_id))

    async def _documents(
        self, call: Any, first: Any, chosen: StreamFormat, request_id: str
    ) -> AsyncGenerator[bytes, None]:
        shown = self.transcoder.writer.shown
        try:
            async for reply in self._replies(call, first):
                yield chosen.item(dumps(shown(reply)))
            if chosen.end:
                yield chosen.end
        except Problem as problem:
            yield chosen.problem(problem.document(request_id))

    async def _octets(self, call: Any, first: Any) -> AsyncGenerator[bytes, None]:
        writer: AnswerWriter = self.transcoder.writer
        try:
            async for reply in self._replies(call, first):
                if data := writer.octets(reply).data:
                    yield data
        except Problem as problem:
            raise BodyLost(f"{problem.code}: {problem.detail}") from problem

    async def _replies(self, call: Any, first: Any) -> AsyncGenerator[Message, None]:
        try:
            reply = first
            while reply is not grpc.aio.EOF:
                yield reply
                reply = await call.read()
        except grpc.aio.AioRpcError as error:
            raise problem_of(failure_of(error), self.transcoder.method) from error
        finally:
            call.cancel()


@dataclass(frozen=True, slots=True)
class UploadPipeline(Pipeline):
    """Passes a file on in parts, as a stream of messages; `upload` makes them, of at most `max_upload` octets together.

    The client is read from as fast as the service takes the parts. The method's time-out is that of the whole upload.
    """

    upload: UploadBody
    max_upload: int

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> HttpAnswer:
        method = self.transcoder.method
        first, context = await self.admitted(request, captures)
        call = self.backend.stream(method, None, context)
        try:
            with WhileConnected(request):
                async with aclosing(self.upload.messages(first, request, self.max_upload)) as messages:
                    await _write(call, messages)
                reply = await call
        except grpc.aio.AioRpcError as error:
            raise problem_of(failure_of(error), method) from error
        finally:
            call.cancel()
        return self.transcoder.answer(reply)


async def _write(call: Any, messages: AsyncIterator[Message]) -> None:
    try:
        async for message in messages:
            await call.write(message)
        await call.done_writing()
    except asyncio.InvalidStateError:
        return  # the service has answered before it had the whole file


def pipeline_of(settings: GatewaySettings, *, transcoder: Transcoder, **parts: Any) -> Pipeline:
    """Returns the pipeline for a method, by the streams that it has; `parts` are those of every Pipeline."""
    method, rule = transcoder.method, transcoder.rule
    if method.client_streaming:
        upload = UploadBody(method.input, "" if rule.body == WHOLE else rule.body)
        return UploadPipeline(transcoder, **parts, upload=upload, max_upload=settings.max_upload)
    return (StreamPipeline if method.server_streaming else Pipeline)(transcoder, **parts)
