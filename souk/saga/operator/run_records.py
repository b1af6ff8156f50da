"""Runs of sagas as an operator sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from souk.saga.definition import SagaRef
from souk.saga.operator.run_filter import RunFilter
from souk.saga.run import ENDED
from souk.saga.states import Phase, StepState
from souk.store.database import Row, Transaction, changes_of

_KEY = "subject = $1 AND saga = $2 AND attempt = $3"
_COLUMNS = """r.subject, r.saga, r.attempt, r.version, r.fingerprint, r.phase, r.parked, r.unknown_step, r.paused_at,
    r.asked, r.on_behalf_of, r.refused_step, r.reason, r.detail, r.owner, r.traceparent, r.started_at, r.changed_at,
    r.deadline_at, r.waiting_since, r.wait_until, r.releases"""


@dataclass(frozen=True, slots=True)
class StepChange:
    """A change of a step at a time, in microseconds since 1970: its state and its tries since then."""

    at: int
    state: StepState
    tries: int
    note: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a run; `note` is the reason of its last failure, `changed_at` in microseconds since 1970.

    `message` and `key` are those that the step waits for, or has waited for, and `until` is the end of its wait, in
    microseconds; 0 if it does not wait. `changes` are what it went through, if they were asked for; those of a step
    that is older than this record are not known.
    """

    name: str
    state: StepState
    tries: int
    note: str
    changed_at: int
    message: str = ""
    key: str = ""
    until: int = 0
    changes: Sequence[StepChange] = ()


@dataclass(frozen=True, slots=True)
class SagaAction:
    """What an operator did with a run, or with one `step` of it, and why; `at` is in microseconds since 1970."""

    ref: SagaRef
    action: str
    step: str
    operator: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. `asked` says that an operator's wish was not carried out yet. Times are microseconds since 1970.

    `releases` are those of services that it has met, as `service=version` with commas in between.
    """

    ref: SagaRef
    version: int
    fingerprint: str
    phase: Phase
    parked: bool
    unknown: bool
    paused_at: int
    asked: bool
    on_behalf_of: str
    refused_step: str
    reason: str
    detail: str
    owner: str
    traceparent: str
    started_at: int
    changed_at: int
    deadline_at: int
    waiting_since: int
    steps: Sequence[StepRecord] = field(default=())
    releases: str = ""

    @property
    def state(self) -> str:
        """The state in words: the first of `paused`, `parked`, `waiting` and the phase that applies."""
        if self.phase not in ENDED:
            if self.paused_at:
                return "paused"
            if self.parked or self.unknown:
                return "parked"
            if self.waiting_since:
                return "waiting"
        return "going back" if self.phase in (Phase.TURNED_BACK, Phase.REJECTED) else self.phase.value


async def find_runs(tx: Transaction, wanted: RunFilter, limit: int, *, changes: bool = False) -> list[RunRecord]:
    """Returns the runs that are wanted, the oldest first, with their steps; with `changes` all that became of these."""
    condition, values = wanted.condition(tx.dialect.now)
    rows = await tx.fetch(
        f"""SELECT r.*, s.step, s.state, s.tries, s.note, s.changed_at AS step_changed_at, w.message, w.key,
                {"s.history" if changes else "''"} AS history
            FROM (SELECT {_COLUMNS} FROM souk_saga_run r WHERE {condition}
                  ORDER BY r.started_at, r.subject, r.saga, r.attempt LIMIT {int(limit)}) r
            LEFT JOIN souk_saga_step s ON s.subject = r.subject AND s.saga = r.saga AND s.attempt = r.attempt
            LEFT JOIN souk_saga_wait w
              ON w.subject = s.subject AND w.saga = s.saga AND w.attempt = s.attempt AND w.step = s.step
            ORDER BY r.started_at, r.subject, r.saga, r.attempt, s.changed_at, s.step""",
        *values,
    )
    found: dict[SagaRef, list[Row]] = {}
    for row in rows:
        found.setdefault(SagaRef(row["saga"], row["subject"], row["attempt"]), []).append(row)
    return [_run(ref, of_run) for ref, of_run in found.items()]


async def actions_of(tx: Transaction, subject: str) -> list[SagaAction]:
    """Returns what operators did with the runs of a subject, in order."""
    rows = await tx.fetch(
        """SELECT subject, saga, attempt, at, action, step, operator, why FROM souk_saga_action
           WHERE subject = $1 ORDER BY at, saga, attempt, number""",
        subject,
    )
    return [SagaAction(_ref(row), row["action"], row["step"], row["operator"], row["why"], row["at"]) for row in rows]


async def record_action(tx: Transaction, ref: SagaRef, action: str, step: str, operator: str, why: str) -> None:
    """Adds what an operator did with a run. The caller has changed the run's row in this transaction."""
    key = (ref.subject, ref.name, ref.attempt)
    row = await tx.fetch_one(f"SELECT count(*) AS before FROM souk_saga_action WHERE {_KEY}", *key)
    await tx.execute(
        f"""INSERT INTO souk_saga_action (subject, saga, attempt, number, at, action, step, operator, why)
            VALUES ($1, $2, $3, $4, {tx.dialect.now}, $5, $6, $7, $8)""",
        *(*key, (row["before"] if row else 0) + 1, action, step, operator, why),
    )


def _run(ref: SagaRef, rows: Sequence[Row]) -> RunRecord:
    row = rows[0]
    steps = tuple(_step(one) for one in rows if one["step"] is not None)
    begun = row["version"], row["fingerprint"], Phase(row["phase"])
    waits = bool(row["parked"]), bool(row["unknown_step"]), row["paused_at"], bool(row["asked"])
    why = row["on_behalf_of"], row["refused_step"], row["reason"], row["detail"]
    times = row["started_at"], row["changed_at"], row["deadline_at"], row["waiting_since"]
    return RunRecord(ref, *begun, *waits, *why, row["owner"], row["traceparent"], *times, steps, row["releases"])


def _step(row: Row) -> StepRecord:
    state = StepState(row["state"])
    until = row["wait_until"] if state is StepState.AWAITING else 0
    tried = row["tries"], row["note"], row["step_changed_at"]
    changes = tuple(_step_change(one.at, one.what) for one in changes_of(row["history"]))
    return StepRecord(row["step"], state, *tried, row["message"] or "", row["key"] or "", until, changes)


def _step_change(at: int, what: str) -> StepChange:
    state, _, rest = what.partition(" ")
    tries, _, note = rest.partition(" ")
    return StepChange(at, StepState(state), int(tries), note)


def _ref(row: Row) -> SagaRef:
    return SagaRef(row["saga"], row["subject"], row["attempt"])
