"""Runs a handler, from its request to its done callbacks; the same in process and over Connect."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from souk.rpc.call import Call, Status
from souk.rpc.metadata import LIMIT, size
from souk.rpc.server.dispatcher import Served, is_passing
from souk.rpc.server.handler_context import HandlerContext
from souk.telemetry.logs import logger

STOPPED = "the service has stopped"
NO_METHOD = "Method not found!"
_OWN_METADATA = 470  # octets that gRPC itself sends with a request: path, authority, time-out and the like

_log = logger("rpc")


def too_much_metadata(call: Call) -> Status | None:
    """Returns the status for a call with more metadata than gRPC accepts; None if it has no more."""
    if size(call.metadata) + len(call.method.full_name) + _OWN_METADATA <= LIMIT:
        return None
    return Status(grpc.StatusCode.RESOURCE_EXHAUSTED, f"received metadata size exceeds hard limit ({LIMIT})")


def _log_late_failure(method: str, error: Exception) -> None:
    """Logs an error after the caller got an answer, such as DEADLINE_EXCEEDED. Only a bug gets a stack trace."""
    if is_passing(error):
        _log.info("a call ended after it was answered", method=method, error=type(error).__name__)
    else:
        _log.error("a call failed after it was answered", method=method, exc_info=error)


async def handle(served: Served, request: Any, context: HandlerContext) -> None:
    """Runs the handler, and ends the call however the handler ends."""
    try:
        context.complete(await served.serve(request, context))
    except grpc.aio.AbortError:
        pass
    except asyncio.CancelledError:
        context.finish(Status(grpc.StatusCode.CANCELLED))
    except Exception as error:
        _log_late_failure(served.method.full_name, error)
        context.finish(Status(grpc.StatusCode.UNKNOWN))
    finally:
        context.call_back()
