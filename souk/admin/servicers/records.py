"""The servicers of `soukapi.v1.Records`: a process reads its services' databases, a supervisor passes calls on."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import records_pb2 as pb
from soukapi.v1 import records_pb2_grpc

from souk.admin.process_status import View
from souk.admin.servicers.hosts import ask_hosts
from souk.events.store import deliveries_of
from souk.kernel.errors import StoreError
from souk.rpc.server.dispatcher import Context
from souk.runtime.service import Recorded, RecordQuery, Records
from souk.store.database import Database, Transaction

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Records"]
LONG = 30.0
DELIVERY = "delivery"


class ProcessRecords(records_pb2_grpc.RecordsServicer):
    """Reads what services have recorded, each from its own database."""

    def __init__(self, databases: Mapping[str, Database], records: Mapping[str, Records]) -> None:
        self._databases, self._records = databases, records

    async def ReadRecords(self, request: pb.ReadRecordsRequest, context: Context) -> pb.ReadRecordsResponse:
        """Reads the records of a subject. A service whose records cannot be read is named, and hides no other."""
        response, query = pb.ReadRecordsResponse(), RecordQuery(request.subject, tuple(request.keys))
        for service, records in self._records.items():
            try:
                found = await self._databases[service].read(partial(_all, records=records, query=query), long=True)
            except StoreError as error:
                response.failed[service] = f"the database cannot be read: {error}"
                continue
            for one in sorted(found, key=lambda record: record.at):
                about = {"kind": one.kind, "what": one.what, "detail": one.detail, "state_of": one.state_of}
                shown = response.records.add(service=service, **about)
                shown.at.FromMicroseconds(one.at)
        return response


async def _all(tx: Transaction, records: Records, query: RecordQuery) -> list[Recorded]:
    """Reads a service's own records, and how the events that it published were delivered."""
    found = list(await records(tx, query))
    published = [one.event_id for one in found if one.event_id]
    for one in await deliveries_of(tx, published):
        detail = f"{one.state} for {one.consumer}{f': {one.reason}' if one.reason else ''}"
        about = f"{one.event_id} for {one.consumer}"
        found.append(Recorded(one.at, DELIVERY, one.type.rpartition(".")[2], detail, state_of=about))
    return found


class FleetRecords(records_pb2_grpc.RecordsServicer):
    """Passes the call on to one process of every service; `processes` gives those of the fleet."""

    def __init__(self, processes: Callable[[], Sequence[View]]) -> None:
        self._processes = processes

    async def ReadRecords(self, request: pb.ReadRecordsRequest, context: Context) -> pb.ReadRecordsResponse:
        """Reads the records of a subject, of all services."""
        response = pb.ReadRecordsResponse()
        found = await ask_hosts(
            self._processes(),
            records_pb2_grpc.RecordsStub,
            lambda stub: stub.ReadRecords(request, timeout=LONG),
            "",
        )
        for service, answer in found:
            if answer is None:
                response.failed[service] = "it does not answer"
            else:
                response.records.extend(answer.records)
                response.failed.update(answer.failed)
        return response
