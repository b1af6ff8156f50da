"""Which processes a system has now, and where each answers; and which start of the system this is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import connection
from souk.runtime.data.layout import DataLayout


@dataclass(frozen=True, slots=True)
class ProcessSocket:
    """A process, and the path of the private socket that it answers on."""

    process: str
    service: str
    path: str


@dataclass(frozen=True, slots=True)
class SystemProcesses:
    """The processes of the system on a data directory, as its private socket names them."""

    layout: DataLayout

    @classmethod
    def of(cls, data: Path) -> "SystemProcesses":
        """Those of the system on a data directory."""
        return cls(DataLayout(data.resolve()))

    async def sockets(self) -> Mapping[str, ProcessSocket]:
        """Lists the processes that give spans and figures, by name. Raises AioRpcError."""
        async with connection(str(self.layout.control)) as channel:
            answer = await fleet_pb2_grpc.FleetStub(channel).ListProcesses(fleet_pb2.ListProcessesRequest())
        found = (ProcessSocket(one.instance, one.service, one.control) for one in answer.processes if one.control)
        return {one.process: one for one in found}

    def run(self) -> str:
        """Tells one start of the system from others: its private socket was made anew. Raises OSError without one."""
        found = self.layout.control.stat()
        return f"{found.st_ino}-{found.st_mtime_ns}"
