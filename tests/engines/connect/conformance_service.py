"""The conformance suite's service: answers as each request prescribes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import framing
import grpc
from connectrpc.conformance.v1 import service_pb2
from google.rpc import status_pb2

_CODES = {code.value[0]: code for code in grpc.StatusCode}

OWN_DEADLINE = 900.0
"""Seconds. The gateway gives every call a deadline. The suite's own are shorter than this; a longer one is the
gateway's, for a client that sent none, and the suite wants to hear of none then."""


class Conformance:
    """Every method but Unimplemented, which a servicer without it answers as it must."""

    async def Unary(self, request: Any, context: Any) -> Any:
        return service_pb2.UnaryResponse(payload=await self._one([request], context))

    async def IdempotentUnary(self, request: Any, context: Any) -> Any:
        return service_pb2.IdempotentUnaryResponse(payload=await self._one([request], context))

    async def ClientStream(self, requests: AsyncIterator[Any], context: Any) -> Any:
        came = [request async for request in requests]
        return service_pb2.ClientStreamResponse(payload=await self._one(came, context))

    async def ServerStream(self, request: Any, context: Any) -> Any:
        asked = request.response_definition
        await self._begin(asked, context)
        seen = [_info([request], context)]
        for data in asked.response_data:
            await asyncio.sleep(asked.response_delay_ms / 1_000)
            info = seen.pop() if seen else None
            yield service_pb2.ServerStreamResponse(payload={"data": data, "request_info": info})
        await self._end(asked, seen, context)

    async def BidiStream(self, requests: AsyncIterator[Any], context: Any) -> Any:
        asked, came, sent, full = None, [], 0, False
        async for request in requests:
            if asked is None:
                asked, full = request.response_definition, request.full_duplex
                await self._begin(asked, context)
            came.append(request)
            if full:
                if sent >= len(asked.response_data):
                    break
                yield await self._next(asked, sent, came, context)
                came, sent = [], sent + 1
        if asked is None:
            return
        while sent < len(asked.response_data):
            yield await self._next(asked, sent, came if sent == 0 else [], context)
            came, sent = [], sent + 1
        await self._end(asked, [_info(came, context)] if sent == 0 else [], context)

    async def _next(self, asked: Any, number: int, came: list[Any], context: Any) -> Any:
        await asyncio.sleep(asked.response_delay_ms / 1_000)
        data = asked.response_data[number]
        info = _info(came, context, headers=number == 0) if came else None
        return service_pb2.BidiStreamResponse(payload={"data": data, "request_info": info})

    async def _one(self, came: list[Any], context: Any) -> Any:
        asked = came[0].response_definition if came else service_pb2.UnaryResponseDefinition()
        info = _info(came, context)
        await self._begin(asked, context)
        await asyncio.sleep(asked.response_delay_ms / 1_000)
        await self._end(asked, [info], context)
        return service_pb2.ConformancePayload(data=asked.response_data, request_info=info)

    async def _begin(self, asked: Any, context: Any) -> None:
        await context.send_initial_metadata(framing.pairs(asked.response_headers))
        context.set_trailing_metadata(framing.pairs(asked.response_trailers))

    async def _end(self, asked: Any, info: list[Any], context: Any) -> None:
        """Fails as prescribed; with what was seen in the details, if nothing was answered yet."""
        if not asked.HasField("error"):
            return
        error = asked.error
        status = status_pb2.Status(code=error.code, message=error.message, details=error.details)
        for seen in info:
            status.details.add().Pack(seen)
        extra = ("grpc-status-details-bin", status.SerializeToString())
        await context.abort(_CODES[error.code], error.message, (*framing.pairs(asked.response_trailers), extra))


def _info(came: list[Any], context: Any, *, headers: bool = True) -> Any:
    remaining = context.time_remaining()
    info = service_pb2.ConformancePayload.RequestInfo(
        request_headers=framing.headers(context.invocation_metadata()) if headers else [],
        timeout_ms=None if remaining is None or remaining > OWN_DEADLINE else int(remaining * 1_000),
    )
    for request in came:
        info.requests.add().Pack(request)
    return info
