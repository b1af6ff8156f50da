"""The servicers of `soukapi.v1.ParkedWork`: a process acts on its services' databases, a supervisor passes calls on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import parked_pb2 as pb
from soukapi.v1 import parked_pb2_grpc

from souk.admin.event_json import payload_from, payload_json, shown
from souk.admin.parked import MOST, Parked, ParkedStepView, Parking
from souk.admin.process_status import View
from souk.admin.servicers.hosts import ask_hosts
from souk.events.parked_store import ParkedDecision
from souk.kernel.errors import DomainError, InvalidArgument, StoreError, Violation
from souk.rpc.server.dispatcher import Context
from souk.runtime.calls.backlog import BrokerCount
from souk.store.database import Database

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["ParkedWork"]
DECISIONS = ("replay", "edit", "discard")
LONG = 30.0
_NOT_PARKED = "nothing parked has this id"


class ProcessParkedWork(parked_pb2_grpc.ParkedWorkServicer):
    """Finds what is parked in the databases of these services, by name, and carries out what is decided about it.

    `at_broker` gives what the broker says of their consumers.
    """

    def __init__(
        self, databases: Mapping[str, Database], at_broker: Callable[[], Sequence[BrokerCount]] = tuple
    ) -> None:
        self._databases, self._at_broker = dict(databases), at_broker
        self._parking = Parking(self._databases, at_work=True)

    async def ListParked(self, request: pb.ListParkedRequest, context: Context) -> pb.ListParkedResponse:
        """Lists what is parked."""
        limit = min(request.limit or MOST, MOST)
        with _readable():
            found = await self._parking.all(limit + 1)
        response, counts = pb.ListParkedResponse(), dict[tuple[str, type], int]()
        for one in found:
            key = (one.service, type(one))
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= limit:
                response.items.append(_item(one))
        response.more = any(count > limit for count in counts.values())
        return response

    async def ListLag(self, request: pb.ListLagRequest, context: Context) -> pb.ListLagResponse:
        """Lists the consumers that are behind."""
        with _readable():
            found = await self._parking.lag()
        response = pb.ListLagResponse()
        for one in found:
            shown_lag = response.consumers.add(
                consumer=one.consumer, service=one.service, pending=one.pending, parked=one.parked
            )
            if one.age is not None:
                shown_lag.age = one.age
        for count in self._at_broker():
            added = response.brokers.add(consumer=count.consumer, topic=count.topic, note=count.note)
            if count.events is not None:
                added.events = count.events
        return response

    async def GetEvent(self, request: pb.GetEventRequest, context: Context) -> pb.GetEventResponse:
        """Gets an event."""
        for service, database in self._databases.items():
            with _readable():
                record = await Parking({service: database}, at_work=True).event(request.id)
            if record is not None:
                return pb.GetEventResponse(
                    service=service,
                    json=orjson.dumps(shown(record)).decode(),
                    payload=_editable(record.parked),
                    consumers=[one.consumer for one in record.parked],
                )
        raise DomainError("NOT_PARKED", "no service of this system keeps this event")

    async def DecideParked(self, request: pb.DecideParkedRequest, context: Context) -> pb.DecideParkedResponse:
        """Carries out a decision."""
        decision = checked(request)
        with _readable():
            return pb.DecideParkedResponse(count=await self._decide(request, decision))

    async def _decide(self, request: pb.DecideParkedRequest, decision: ParkedDecision) -> int:
        record = await self._parking.event(request.id)
        if record is None:
            if request.decision != "replay":
                raise DomainError("NOT_PARKED", _NOT_PARKED)
            steps = [one for one in await self._parking.all() if one.id == request.id]
            if not steps:
                raise DomainError("NOT_PARKED", _NOT_PARKED)
            await self._parking.retry(steps, decision)
            return len(steps)
        them = [one for one in record.parked if request.consumer in ("", one.consumer)]
        if not them:
            raise DomainError("NOT_PARKED", "it is not parked any more: somebody has decided about it meanwhile")
        if request.decision == "edit":
            try:
                await self._parking.edit(them, payload_from(them[0].event, request.payload), decision)
            except ValueError as error:
                raise InvalidArgument([Violation("payload", str(error))]) from error
            except LookupError as error:
                raise DomainError("NOT_PARKED", str(error)) from error
            return len(them)
        meant = [one for one in await self._parking.events() if one.id == request.id]
        chosen = [one for one in meant if request.consumer in ("", one.consumer)]
        await (self._parking.replay if request.decision == "replay" else self._parking.discard)(chosen, decision)
        return len(chosen)


class FleetParkedWork(parked_pb2_grpc.ParkedWorkServicer):
    """Passes each call on to one process of every service; `processes` gives those of the fleet."""

    def __init__(self, processes: Callable[[], Sequence[View]]) -> None:
        self._processes = processes

    async def ListParked(self, request: pb.ListParkedRequest, context: Context) -> pb.ListParkedResponse:
        """Lists what is parked, of all services."""
        response = pb.ListParkedResponse()
        for service, answer in await self._ask(lambda stub: stub.ListParked(request, timeout=LONG)):
            if answer is None:
                response.silent.append(service)
            else:
                response.items.extend(answer.items)
                response.more = response.more or answer.more
        return response

    async def ListLag(self, request: pb.ListLagRequest, context: Context) -> pb.ListLagResponse:
        """Lists the consumers that are behind, of all services."""
        response = pb.ListLagResponse()
        for service, answer in await self._ask(lambda stub: stub.ListLag(request, timeout=LONG)):
            if answer is None:
                response.silent.append(service)
            else:
                response.consumers.extend(answer.consumers)
                response.brokers.extend(answer.brokers)
        return response

    async def GetEvent(self, request: pb.GetEventRequest, context: Context) -> pb.GetEventResponse:
        """Gets an event of whichever service has it."""
        found: pb.GetEventResponse = await self._one(lambda stub: stub.GetEvent(request, timeout=LONG))
        return found

    async def DecideParked(self, request: pb.DecideParkedRequest, context: Context) -> pb.DecideParkedResponse:
        """Has the process whose service has it carry out a decision."""
        checked(request)
        done: pb.DecideParkedResponse = await self._one(lambda stub: stub.DecideParked(request, timeout=LONG))
        return done

    async def _one(self, question: Callable[[Any], Any]) -> Any:
        answers = await self._ask(question, missing="NOT_PARKED")
        for _, answer in answers:
            if answer is not None and answer != "NOT_PARKED":
                return answer
        silent = [service for service, answer in answers if answer is None]
        unless = f", unless it is one of {', '.join(silent)}, which do not answer" if silent else ""
        raise DomainError("NOT_PARKED", _NOT_PARKED + unless)

    async def _ask(self, question: Callable[[Any], Any], missing: str = "") -> list[tuple[str, Any]]:
        return await ask_hosts(self._processes(), parked_pb2_grpc.ParkedWorkStub, question, missing)


def checked(request: pb.DecideParkedRequest) -> ParkedDecision:
    """Returns who decides, and why. Raises InvalidArgument for a request that lacks something."""
    if request.decision not in DECISIONS:
        raise InvalidArgument([Violation("decision", f"must be one of {', '.join(DECISIONS)}")])
    if not request.operator or not request.why.strip():
        raise InvalidArgument([Violation("why", "who decides it, and why, must be given: it is kept")])
    return ParkedDecision(request.operator, request.why.strip())


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise DomainError("CANNOT_BE_DONE", f"the database cannot be used: {error}") from error


def _editable(them: Sequence[Any]) -> str:
    try:
        return payload_json(them[0].event) if them else ""
    except ValueError:
        return ""


def _item(one: Parked) -> pb.ParkedItem:
    item = pb.ParkedItem(service=one.service, id=one.id, tries=one.tries, reason=one.reason)
    item.since.FromMicroseconds(one.since)
    if isinstance(one, ParkedStepView):
        item.kind, item.what, item.undo = "step", one.step, one.undo
    else:
        item.kind, item.what, item.consumer, item.key = "event", one.type, one.consumer, one.key
        item.digest, item.location = one.digest, one.location
    return item
