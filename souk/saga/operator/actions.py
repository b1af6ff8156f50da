"""What an operator can do with a run.

Every action is one conditional update of the run's row, which takes the lease from its owner by the epoch: a runner
that works on the run at this moment can record nothing more, and the next one reads what was asked. An action on a run
that is so already changes nothing and is recorded no second time.

    retry        parked steps are tried again, with their tries counted from zero
    compensate   a run before its pivot turns back, as if it had been refused
    resolve      an operator has seen to a parked step, or to a parked undo, by hand: it counts as done, or as undone; a
                 step that waits counts as done, without its message or before its time
    pause        nobody drives the run until it is resumed; its deadline waits as well
    resume       it is driven again

Turning back and resolving need the definition of the saga and its hooks: they are left for the next owner, as `asked`.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from souk.saga.definition import SagaRef
from souk.saga.operator import parked
from souk.saga.operator.run_filter import RunFilter
from souk.saga.operator.run_records import RunRecord, find_runs, record_action
from souk.saga.run import ENDED, PARKED
from souk.saga.states import Phase, StepState
from souk.saga.store import CHANNEL
from souk.store.database import Transaction, Value

_RUN = "subject = $1 AND saga = $2 AND attempt = $3"
_TAKEN = f"owner = '{parked.OPERATOR}', epoch = epoch + 1, lease_until = 0"


class RunAction(StrEnum):
    """What an operator can do with a run."""

    RETRY = "retry"
    COMPENSATE = "compensate"
    RESOLVE = "resolve"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What an operator wants, and why; `step` is for `resolve` alone, which means all parked and waiting steps without
    it."""

    action: RunAction
    operator: str
    why: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class ActionEffect:
    """What an action does, or did, with a run: `text` says it, or why nothing is `changed`.

    `refused` says that the run is not so already, either.
    """

    ref: SagaRef
    text: str
    changed: bool = True
    refused: bool = False


async def act(tx: Transaction, ref: SagaRef, request: ActionRequest) -> ActionEffect:
    """Does what an operator wants with a run, and records it. Raises LookupError if there is no such run."""
    found = await find_runs(tx, RunFilter("all", [ref]), 1)
    if not found:
        raise LookupError(f"no run {ref}")
    effect = plan(found[0], request)
    if not effect.changed:
        return effect
    if not await _CHANGES[request.action](tx, ref, request):
        return ActionEffect(ref, "it has changed at this moment; look at it again", changed=False, refused=True)
    await record_action(tx, ref, request.action.value, request.step, request.operator, request.why)
    await tx.notify(CHANNEL)
    return effect


def plan(run: RunRecord, request: ActionRequest) -> ActionEffect:
    """Says what an action would do with a run, and changes nothing."""
    if run.phase in ENDED:
        return _refused(run, "it has ended")
    return _PLANS[request.action](run, request)


def _plan_retry(run: RunRecord, request: ActionRequest) -> ActionEffect:
    steps = _parked(run)
    return _waiting(run) or (
        ActionEffect(run.ref, f"tries again: {', '.join(steps)}") if steps else _so(run, "no step of it is parked")
    )


def _plan_compensate(run: RunRecord, request: ActionRequest) -> ActionEffect:
    if run.phase is Phase.COMMITTED:
        return _refused(run, "it is past its pivot, and only goes forward")
    if run.phase is not Phase.RUNNING:
        return _so(run, "it goes back already")
    return _waiting(run) or ActionEffect(run.ref, "turns back: what was done is undone")


def _plan_resolve(run: RunRecord, request: ActionRequest) -> ActionEffect:
    states = PARKED | {StepState.AWAITING}
    steps = {one.name: one.state for one in run.steps if one.state in states and request.step in ("", one.name)}
    if not steps:
        return _refused(run, f"{repr(request.step) if request.step else 'no step of it'} is not parked, and waits not")
    results = ", ".join(f"{name} counts as {_resolved(state)}" for name, state in steps.items())
    return _waiting(run) or ActionEffect(run.ref, results)


def _plan_pause(run: RunRecord, request: ActionRequest) -> ActionEffect:
    return _so(run, "it is paused already") if run.paused_at else ActionEffect(run.ref, "is driven by nobody")


def _plan_resume(run: RunRecord, request: ActionRequest) -> ActionEffect:
    return ActionEffect(run.ref, "goes on") if run.paused_at else _so(run, "it is not paused")


def _waiting(run: RunRecord) -> ActionEffect | None:
    if run.paused_at:
        return _refused(run, "it is paused; resume it first")
    return _so(run, "what was asked before is still to be done") if run.asked else None


def _parked(run: RunRecord) -> dict[str, StepState]:
    return {step.name: step.state for step in run.steps if step.state in PARKED}


def _resolved(state: StepState) -> str:
    return "undone" if state is StepState.UNDO_PARKED else "done"


def _so(run: RunRecord, text: str) -> ActionEffect:
    return ActionEffect(run.ref, text, changed=False)


def _refused(run: RunRecord, text: str) -> ActionEffect:
    return ActionEffect(run.ref, text, changed=False, refused=True)


async def _retry(tx: Transaction, ref: SagaRef, request: ActionRequest) -> bool:
    return await parked.retry_parked(tx, ref)


async def _ask(tx: Transaction, ref: SagaRef, request: ActionRequest) -> bool:
    asked = json.dumps({"action": request.action.value, "step": request.step, "why": request.why})
    fits = "phase = 'running'" if request.action is RunAction.COMPENSATE else "(parked OR waiting_since <> 0)"
    return await _update(tx, ref, "asked = $4, active = TRUE", f"{fits} AND paused_at = 0 AND asked = ''", asked)


async def _pause(tx: Transaction, ref: SagaRef, request: ActionRequest) -> bool:
    return await _update(tx, ref, f"paused_at = {tx.dialect.now}", "paused_at = 0")


async def _resume(tx: Transaction, ref: SagaRef, request: ActionRequest) -> bool:
    paused = f"{tx.dialect.now} - paused_at"
    waits = f"CASE WHEN waiting_since <> 0 THEN {paused} ELSE 0 END"
    later = f"""deadline_at = deadline_at + {paused}, waiting_since = waiting_since + {waits},
        wait_until = wait_until + {waits}, paused_at = 0"""
    return await _update(tx, ref, later, "paused_at <> 0")


async def _update(tx: Transaction, ref: SagaRef, change: str, condition: str, *values: Value) -> bool:
    sql = f"UPDATE souk_saga_run SET {change}, {_TAKEN} WHERE {_RUN} AND NOT ended AND {condition}"
    return await tx.execute(sql, ref.subject, ref.name, ref.attempt, *values) > 0


_PLANS: dict[RunAction, Callable[[RunRecord, ActionRequest], ActionEffect]] = {
    RunAction.RETRY: _plan_retry,
    RunAction.COMPENSATE: _plan_compensate,
    RunAction.RESOLVE: _plan_resolve,
    RunAction.PAUSE: _plan_pause,
    RunAction.RESUME: _plan_resume,
}
_CHANGES: dict[RunAction, Callable[[Transaction, SagaRef, ActionRequest], Awaitable[bool]]] = {
    RunAction.RETRY: _retry,
    RunAction.COMPENSATE: _ask,
    RunAction.RESOLVE: _ask,
    RunAction.PAUSE: _pause,
    RunAction.RESUME: _resume,
}
