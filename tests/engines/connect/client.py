"""The client that the conformance suite of Connect drives: stubs of the suite's service on Souk's channel."""

import asyncio
import math
import sys
from typing import Any

import framing
import grpc
import grpc.aio
from connectrpc.conformance.v1 import client_compat_pb2, service_pb2, service_pb2_grpc
from google.rpc import status_pb2

from souk.rpc.client.channel import Channel
from souk.rpc.connect.transport import ConnectTransport
from souk.rpc.status import STATUS_KEY


async def answered(asked: Any) -> Any:
    """Makes the call that the runner asks for, and gives the result."""
    transport = ConnectTransport(lambda: [f"{asked.host}:{asked.port}"])
    try:
        return await _result(asked, service_pb2_grpc.ConformanceServiceStub(Channel(transport)))
    except Exception as error:
        return client_compat_pb2.ClientCompatResponse(test_name=asked.test_name, error={"message": repr(error)})
    finally:
        await transport.close()


async def _result(asked: Any, stub: Any) -> Any:
    request = getattr(service_pb2, f"{asked.method}Request")()
    asked.request_messages[0].Unpack(request)
    await asyncio.sleep(asked.request_delay_ms / 1_000)
    timeout = asked.timeout_ms / 1_000 if asked.HasField("timeout_ms") else math.inf
    call = getattr(stub, asked.method)(request, metadata=framing.pairs(asked.request_headers), timeout=timeout)
    if asked.cancel.HasField("after_close_send_ms"):
        asyncio.get_running_loop().call_later(asked.cancel.after_close_send_ms / 1_000, call.cancel)
    result = client_compat_pb2.ClientResponseResult()
    try:
        result.payloads.append((await call).payload)
    except (grpc.aio.AioRpcError, asyncio.CancelledError):
        result.error.CopyFrom(await _error(call))
    result.response_headers.extend(framing.headers(await call.initial_metadata()))
    trailing = [pair for pair in await call.trailing_metadata() if pair[0] != STATUS_KEY]
    result.response_trailers.extend(framing.headers(trailing))
    return client_compat_pb2.ClientCompatResponse(test_name=asked.test_name, response=result)


async def _error(call: Any) -> Any:
    raw = dict(await call.trailing_metadata()).get(STATUS_KEY, b"")
    details = status_pb2.Status.FromString(raw).details
    return service_pb2.Error(code=(await call.code()).value[0], message=await call.details(), details=details)


async def main() -> None:
    running: set[asyncio.Task[None]] = set()

    async def run(asked: Any) -> None:
        framing.write(sys.stdout.buffer, await answered(asked))

    while asked := await asyncio.to_thread(framing.read, sys.stdin.buffer, client_compat_pb2.ClientCompatRequest):
        running.add(asyncio.create_task(run(asked)))
    if running:
        await asyncio.wait(running)


asyncio.run(main())
