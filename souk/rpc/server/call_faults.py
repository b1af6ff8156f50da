"""Lets a call meet the fault that its service has on purpose (see `souk.faults`)."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from souk.faults import CallFault
from souk.kernel.clock import Clock

ON_PURPOSE = "a fault on purpose"


async def meet_fault(fault: CallFault, context: grpc.aio.ServicerContext[Any, Any], clock: Clock) -> None:
    """Waits, and fails the call, if the fault strikes it. Raises grpc.aio.AbortError."""
    if not fault.strikes(clock.monotonic()):
        return
    if fault.delay > 0:
        await asyncio.sleep(fault.delay)
    if fault.code:
        await context.abort(grpc.StatusCode[fault.code], ON_PURPOSE)
