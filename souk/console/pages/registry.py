"""Who is where: every process of the system, as `souk ps` lists them."""

from soukapi.v1 import fleet_pb2

from souk.admin.documents import process_document, process_note
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRequest, ShownPage
from souk.kernel.addresses import socket_path

_BAD = frozenset({"failed", "backing off"})


def registry_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        found = await control.processes()
        processes = [_row(one) for one in found.processes]
        return ShownPage(
            "registry.html",
            "Registry",
            [process_document(one) for one in found.processes],
            {"processes": processes, "ready": sum(row["tone"] == "good" for row in processes)},
        )

    return ConsolePage("registry", "Registry", show)


def _row(one: fleet_pb2.FleetProcess) -> dict[str, object]:
    status = one.status if one.HasField("status") else None
    failing = [check.name for check in one.status.checks if not check.well]
    note = process_note(one)
    return {
        "process": one,
        "kind": fleet_pb2.ProcessKind.Name(one.kind).removeprefix("PROCESS_KIND_").lower(),
        "address": "private socket" if socket_path(one.address) or one.address.startswith("/") else one.address,
        "status": status,
        "uptime": status.uptime.ToTimedelta().total_seconds() if status else None,
        "note": note,
        "tone": _tone(one.state, bool(failing or note)),
    }


def _tone(state: str, noted: bool) -> str:
    if state in _BAD:
        return "bad"
    if state == "stopped":
        return "off"
    return "good" if state == "ready" and not noted else "warn"
