"""The servicers of `soukapi.v1.Sagas`: a process acts on its services' databases, a supervisor passes calls on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import sagas_pb2 as pb
from soukapi.v1 import sagas_pb2_grpc

from souk.admin.process_status import View
from souk.admin.servicers.hosts import ask_hosts
from souk.kernel.errors import DomainError, InvalidArgument, StoreError, Violation
from souk.kernel.suggest import unknown
from souk.rpc.metadata import read_releases
from souk.rpc.server.dispatcher import Context
from souk.saga.definition import SagaRef
from souk.saga.operator.actions import ActionEffect, ActionRequest, RunAction, act, plan
from souk.saga.operator.run_filter import STATES, RunFilter
from souk.saga.operator.run_records import RunRecord, SagaAction, actions_of, find_runs
from souk.saga.waiting.mailbox import RecordedMessage, messages_of
from souk.store.database import Database, Transaction

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Sagas"]
MOST = 10_000
"""Runs of a service that are listed at once."""
LONG = 120.0
NO_RUN = "there is no such run"

T = TypeVar("T")


class ProcessSagas(sagas_pb2_grpc.SagasServicer):
    """Finds runs in the databases of these services, by name, and acts on them."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    async def ListSagaRuns(self, request: pb.ListSagaRunsRequest, context: Context | None) -> pb.ListSagaRunsResponse:
        """Lists the runs that are wanted."""
        wanted, limit = _wanted(request), min(request.limit or MOST, MOST)
        response = pb.ListSagaRunsResponse()
        for service, database in self._databases.items():
            if request.service in ("", service):
                found = await _read(
                    database, partial(find_runs, wanted=wanted, limit=limit + 1, changes=request.changes)
                )
                response.runs.extend(_run(service, run) for run in found[:limit])
                response.more = response.more or len(found) > limit
        return response

    async def ListSagaActions(
        self, request: pb.ListSagaActionsRequest, context: Context | None
    ) -> pb.ListSagaActionsResponse:
        """Lists what operators did with the runs of a subject, and the messages that came for them."""
        response = pb.ListSagaActionsResponse()
        for service, database in self._databases.items():
            if request.service in ("", service):
                found = await _read(database, partial(actions_of, subject=request.subject))
                response.actions.extend(map(_action, found))
                came = await _read(database, partial(messages_of, subject=request.subject))
                response.messages.extend(map(_message, came))
        return response

    async def ActOnSagaRuns(
        self, request: pb.ActOnSagaRunsRequest, context: Context | None
    ) -> pb.ActOnSagaRunsResponse:
        """Acts on runs, or says what would be done."""
        wish = _wish(request)
        effects = [await self._act(run_id, wish, preview=request.preview) for run_id in request.ids]
        return pb.ActOnSagaRunsResponse(effects=effects)

    async def _act(self, run_id: str, wish: ActionRequest, *, preview: bool) -> pb.SagaRunEffect:
        ref = ref_of(run_id)
        for database in self._databases.values():
            found = await _read(database, partial(find_runs, wanted=RunFilter("all", [ref]), limit=1))
            if found:
                effect = plan(found[0], wish) if preview else await _run_in(database, ref, wish)
                return pb.SagaRunEffect(id=run_id, text=effect.text, changed=effect.changed, refused=effect.refused)
        return pb.SagaRunEffect(id=run_id, text=NO_RUN, refused=True)


class FleetSagas(sagas_pb2_grpc.SagasServicer):
    """Passes each call on to one process of every service; `processes` gives those of the fleet."""

    def __init__(self, processes: Callable[[], Sequence[View]]) -> None:
        self._processes = processes

    async def ListSagaRuns(self, request: pb.ListSagaRunsRequest, context: Context) -> pb.ListSagaRunsResponse:
        """Lists the runs that are wanted, of all services."""
        response = pb.ListSagaRunsResponse()
        for service, answer in await self._ask(lambda stub: stub.ListSagaRuns(request, timeout=LONG)):
            if answer is None:
                response.silent.append(service)
            else:
                response.runs.extend(answer.runs)
                response.more = response.more or answer.more
        return response

    async def ListSagaActions(self, request: pb.ListSagaActionsRequest, context: Context) -> pb.ListSagaActionsResponse:
        """Lists what operators did with the runs of a subject, and the messages that came, in all services."""
        response = pb.ListSagaActionsResponse()
        for _, answer in await self._ask(lambda stub: stub.ListSagaActions(request, timeout=LONG)):
            if answer is not None:
                response.actions.extend(answer.actions)
                response.messages.extend(answer.messages)
        return response

    async def ActOnSagaRuns(self, request: pb.ActOnSagaRunsRequest, context: Context) -> pb.ActOnSagaRunsResponse:
        """Has the processes act on runs that their services have."""
        _wish(request)
        effects: dict[str, pb.SagaRunEffect] = {}
        silent: list[str] = []
        for service, answer in await self._ask(lambda stub: stub.ActOnSagaRuns(request, timeout=LONG)):
            if answer is None:
                silent.append(service)
            else:
                effects.update({one.id: one for one in answer.effects if one.text != NO_RUN})
        missing = f"{NO_RUN}, unless it is one of {', '.join(silent)}, which do not answer" if silent else NO_RUN
        return pb.ActOnSagaRunsResponse(
            effects=[effects.get(one, pb.SagaRunEffect(id=one, text=missing, refused=True)) for one in request.ids]
        )

    async def _ask(self, question: Callable[[Any], Any]) -> list[tuple[str, Any]]:
        """Asks one process of each service, at once; gives each service with its answer, or None."""
        return await ask_hosts(self._processes(), sagas_pb2_grpc.SagasStub, question, "")


def id_of(ref: SagaRef) -> str:
    """Returns a run's id, SAGA:SUBJECT:ATTEMPT."""
    return f"{ref.name}:{ref.subject}:{ref.attempt}"


def ref_of(run_id: str) -> SagaRef:
    """Reads a run's id. Raises InvalidArgument."""
    name, _, rest = run_id.partition(":")
    subject, _, attempt = rest.rpartition(":")
    if not (name and subject and attempt.isdecimal() and attempt.isascii()):
        raise InvalidArgument([Violation("id", f"{run_id!r} must read SAGA:SUBJECT:ATTEMPT; `souk saga list` has ids")])
    return SagaRef(name, subject, int(attempt))


def _wanted(request: pb.ListSagaRunsRequest) -> RunFilter:
    state = request.state or "open"
    if state not in STATES:
        raise InvalidArgument([Violation("state", unknown("state", state, STATES))])
    refs = [ref_of(one) for one in request.ids]
    return RunFilter(state, refs, request.saga, request.step, request.reason, request.text, request.older)


def _wish(request: pb.ActOnSagaRunsRequest) -> ActionRequest:
    if request.action not in set(RunAction):
        known = [one.value for one in RunAction]
        raise InvalidArgument([Violation("action", unknown("action", request.action, known))])
    if not request.operator or not request.why.strip():
        raise InvalidArgument([Violation("why", "who wants it, and why, must be given: it is recorded")])
    return ActionRequest(RunAction(request.action), request.operator, request.why.strip(), request.step)


async def _read(database: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    try:
        return await database.read(work, long=True)
    except StoreError as error:
        raise DomainError("CANNOT_BE_DONE", f"the database cannot be read: {error}") from error


async def _run_in(database: Database, ref: SagaRef, wish: ActionRequest) -> ActionEffect:
    try:
        return await database.run(partial(act, ref=ref, request=wish))
    except StoreError as error:
        raise DomainError("CANNOT_BE_DONE", f"the database cannot be written: {error}; do it again") from error


def _run(service: str, run: RunRecord) -> pb.SagaRun:
    shown = pb.SagaRun(
        id=id_of(run.ref),
        service=service,
        saga=run.ref.name,
        subject=run.ref.subject,
        attempt=run.ref.attempt,
        version=run.version,
        fingerprint=run.fingerprint,
        state=run.state,
        on_behalf_of=run.on_behalf_of,
        refused_step=run.refused_step,
        reason=run.reason,
        detail=run.detail,
        owner=run.owner,
        traceparent=run.traceparent,
        asked=run.asked,
        releases=read_releases(run.releases),
    )
    for step in run.steps:
        one = shown.steps.add(name=step.name, state=step.state.value, tries=step.tries, note=step.note)
        one.changed_at.FromMicroseconds(step.changed_at)
        one.message, one.key = step.message, step.key
        if step.until:
            one.until.FromMicroseconds(step.until)
        for change in step.changes:
            shown_change = one.changes.add(state=change.state.value, tries=change.tries, note=change.note)
            shown_change.at.FromMicroseconds(change.at)
    shown.started_at.FromMicroseconds(run.started_at)
    shown.changed_at.FromMicroseconds(run.changed_at)
    shown.deadline_at.FromMicroseconds(run.deadline_at)
    return shown


def _action(one: SagaAction) -> pb.SagaRunAction:
    shown = pb.SagaRunAction(id=id_of(one.ref), action=one.action, step=one.step, operator=one.operator, why=one.why)
    shown.at.FromMicroseconds(one.at)
    return shown


def _message(one: RecordedMessage) -> pb.SagaRunMessage:
    shown = pb.SagaRunMessage(id=id_of(one.ref), message=one.name, key=one.key, message_id=one.id, fate=one.fate.value)
    shown.received_at.FromMicroseconds(one.received_at)
    return shown
