"""Has all gateways of a system read their routes files again."""

from collections.abc import Iterable

from soukapi.v1 import fleet_pb2

from souk.admin.client import ask_all
from souk.admin.process_status import GATEWAY, READY, SYSTEM, View

PATIENCE = 30.0
"""Seconds that a gateway gets to read its file."""
_REQUEST = fleet_pb2.ReloadRoutesRequest()


async def reload_routes(processes: Iterable[View]) -> fleet_pb2.ReloadRoutesResponse:
    """Has each gateway reload, all at the same time; returns what became of it, and the ready ones that are silent."""
    gateways = [view for view in processes if view.kind in (GATEWAY, SYSTEM) and view.pid]
    answers = await ask_all(gateways, lambda process: process.ReloadRoutes(_REQUEST), PATIENCE)
    return fleet_pb2.ReloadRoutesResponse(
        loads=[load for _, answer in answers if answer is not None for load in answer.loads],
        silent=[view.instance for view, answer in answers if answer is None and view.state == READY],
    )
