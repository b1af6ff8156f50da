"""The applications that have joined a system, as its operators see them: read from the registry, which is all that the
system knows of them, and asked for their status where this machine can reach them."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from soukapi.v1 import fleet_pb2

from souk.admin.client import ask_all, status
from souk.admin.messages import process
from souk.admin.process_status import APPLICATION, BACKING_OFF, NO_LOG, READY, SIDECAR, ProcessView, View
from souk.discovery.directory import Directory
from souk.gateway.routing.announcement import ADOPTED, AdoptedInstance, adopted_instances
from souk.runtime.process.liveness import answers_at
from souk.runtime.process.sockets import peer_pid

_NOT_ISOLATED = "it is adopted, and calls what it likes"


class Applications:
    """The processes of adopted applications that `directory` knows."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        directory.instances(ADOPTED)  # begins to watch, so that the first who asks finds them

    async def processes(self) -> list[fleet_pb2.FleetProcess]:
        """Lists them by service, each with its own status if it answers."""
        found, _ = adopted_instances(self._directory.instances(ADOPTED))
        known = {one.id: one for one in found}
        answers = await ask_all(_views(found), status)
        applications = [_message(known[view.instance], view, answer) for view, answer in answers]
        sidecars = await asyncio.gather(*(_sidecar(one) for one in found if one.sidecar))
        listed = [*applications, *(process(view, None) for view in sidecars)]
        return sorted(listed, key=lambda one: (one.service, one.instance))


async def _sidecar(one: AdoptedInstance) -> ProcessView:
    """Gives the state of an application's sidecar, whose process is the one that listens at its admin socket."""
    admin = Path(one.sidecar)
    answers, pid = await answers_at(admin)(), None
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(admin))
        pid = peer_pid(connection)
    return ProcessView(
        service=one.announcement.service,
        instance=f"{one.id}-sidecar",
        kind=SIDECAR,
        state=READY if answers else BACKING_OFF,
        pid=pid,
        address=one.address,
        restarts=0,
        started_at=0,
        control="",
        log=NO_LOG,
        why="" if answers else "does not answer",
        not_isolated=_NOT_ISOLATED,
    )


def _views(found: Sequence[AdoptedInstance]) -> list[ProcessView]:
    views = [
        ProcessView(
            service=one.announcement.service,
            instance=one.id,
            kind=APPLICATION,
            state=READY,
            pid=None,
            address=one.address,
            restarts=0,
            started_at=0,
            control=one.control,
            log=NO_LOG,
            why="",
            not_isolated=_NOT_ISOLATED if one.sidecar else "",
        )
        for one in found
    ]
    return sorted(views, key=lambda view: (view.service, view.instance))


def _message(one: AdoptedInstance, view: View, answer: fleet_pb2.GetStatusResponse | None) -> fleet_pb2.FleetProcess:
    message, announced = process(view, answer), one.announcement
    if answer is not None:
        message.pid, message.resident_bytes = answer.pid, answer.resident_bytes
    message.application.MergeFrom(
        fleet_pb2.AdoptedApplication(
            source=one.source,
            prefix=announced.prefix,
            access=announced.access,
            rate_class=announced.rate_class,
            routed=announced.routed,
        )
    )
    return message
