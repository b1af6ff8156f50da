"""What goes with the record of a decision: the hooks of the definition, and the rest of a run that waits."""

import random
from dataclasses import dataclass, field

from souk.faults import Faults
from souk.kernel.clock import Clock
from souk.saga.definition import Saga, StepCall
from souk.saga.run import Decision, Held, Run
from souk.saga.settings import SagaSettings
from souk.saga.states import StepState
from souk.saga.store import CHANNEL, SagaStore
from souk.saga.waiting import rest
from souk.store.database import Database, Transaction
from souk.telemetry.tracing.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Tools:
    """The dependencies that all executions of a runner share."""

    database: Database
    store: SagaStore
    clock: Clock
    service: str
    settings: SagaSettings
    faults: Faults
    chance: random.Random = field(default_factory=random.Random)
    tracer: Tracer | None = None


def step_call(saga: Saga, held: Held, run: Run, index: int | None) -> StepCall:
    """Makes the argument for the step at `index`; with None, the argument for a hook of the whole saga."""
    ref = held.ref
    prefix = f"{ref.subject}:{ref.attempt}"
    keys = {step.name: f"{prefix}:{step.slug}" for step in saga.steps}
    recorded = zip(saga.steps, run.steps, strict=True)
    results = {step.name: was.result for step, was in recorded if was.state is StepState.DONE or was.result}
    key = prefix if index is None else keys[saga.steps[index].name]
    return StepCall(ref, key, held.input, held.on_behalf_of, results, keys)


async def run_hooks(tx: Transaction, saga: Saga, held: Held, decision: Decision) -> None:
    """Calls the hooks that a decision asks for, and notifies the waiters of an outcome or an end."""
    run = decision.run
    for index in decision.records:
        if (record := saga.steps[index].record) is not None:
            await record(tx, step_call(saga, held, run, index), run.steps[index].result)
    if decision.rejected and saga.rejected is not None and run.refusal is not None:
        await saga.rejected(tx, step_call(saga, held, run, None), run.refusal)
    if decision.ended:
        await saga.ended(tx, step_call(saga, held, run, None))
    if decision.ended or decision.rejected or saga.pivot in decision.records:
        await tx.notify(CHANNEL)


async def to_rest(tx: Transaction, saga: Saga, held: Held, old: Run | None, new: Run, soon: float) -> None:
    """Puts a run to rest that has begun to wait; wakes runners if it is due within `soon` seconds."""
    before, after = None if old is None else rest.resting_at(old), rest.resting_at(new)
    if after is not None and after != before and (wait := saga.steps[after].wait) is not None:
        await rest.enter(tx, wait, step_call(saga, held, new, after), saga.steps[after].name, soon)
