"""The applications that have joined a system, as its operators see them: read from the registry, which is all that the
system knows of them, and asked for their status where this machine can reach them."""

from collections.abc import Sequence

from soukapi.v1 import fleet_pb2

from souk.admin.client import ask_all, status
from souk.admin.messages import process
from souk.admin.process_status import APPLICATION, NO_LOG, READY, ProcessView, View
from souk.discovery.directory import Directory
from souk.gateway.routing.announcement import ADOPTED, AdoptedInstance, adopted_instances


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
        return [_message(known[view.instance], view, answer) for view, answer in answers]


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
