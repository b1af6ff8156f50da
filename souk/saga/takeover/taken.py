"""Takes runs over for an owner, and reads what is recorded of them: a few statements, however many runs there are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from souk.kernel.clock import MICROSECONDS
from souk.saga.definition import Refusal, SagaRef
from souk.saga.run import Held, Run, StepNames, StepRun, WaitNews
from souk.saga.states import Phase, StepState
from souk.saga.waiting.mailbox import ref_of
from souk.store.database import Row, Transaction, Value

_SAME_RUN = "w.subject = r.subject AND w.saga = r.saga AND w.attempt = r.attempt"


async def take(tx: Transaction, refs: Sequence[SagaRef], owner: str, lease: int, names: StepNames) -> list[Held]:
    """Takes runs over, each in its next epoch, and returns them in the order of `refs`. `lease` is in microseconds.

    Every decision that follows is guarded by the write of the run's row. Raises LookupError if one of the runs does not
    exist, or has a recorded step that its definition does not have.
    """
    now, (keys, values) = tx.dialect.now, _keys(refs, 3)
    rows = await tx.fetch(
        f"""UPDATE souk_saga_run SET owner = $1, epoch = epoch + 1, lease_until = {now} + $2
            WHERE (subject, saga, attempt) IN ({keys})
            RETURNING subject, saga, attempt, epoch, revision, input, on_behalf_of, traceparent, phase, refused_step,
                reason, detail, status, sent, final, version, fingerprint, asked, tracestate, releases,
                deadline_at - CASE WHEN waiting_since <> 0 THEN waiting_since ELSE {now} END AS remaining""",
        *(owner, lease, *values),
    )
    taken = {ref_of(row): row for row in rows}
    if missing := [ref for ref in refs if ref not in taken]:
        raise LookupError(f"no run {missing[0]}")
    runs = await _runs(tx, taken, names)
    news, previous = await _news(tx, taken, runs, names), await previous_of(tx, refs)
    return [_held(taken[ref], runs[ref], news.get(ref), previous.get(ref, "")) for ref in refs]


async def previous_of(tx: Transaction, refs: Sequence[SagaRef]) -> dict[SagaRef, str]:
    """Returns the `traceparent` of the attempt before each of these, if there is one."""
    before = [SagaRef(ref.name, ref.subject, ref.attempt - 1) for ref in refs if ref.attempt > 1]
    if not before:
        return {}
    keys, values = _keys(before, 1)
    sql = f"""SELECT subject, saga, attempt + 1 AS attempt, traceparent FROM souk_saga_run
              WHERE (subject, saga, attempt) IN ({keys})"""
    return {ref_of(row): row["traceparent"] for row in await tx.fetch(sql, *values)}


def refusal_of(row: Row) -> Refusal | None:
    """Reads why a run turned back; None if it has not."""
    if not row["refused_step"]:
        return None
    status, sent, final = row["status"], bool(row["sent"]), bool(row["final"])
    return Refusal(row["refused_step"], row["reason"], row["detail"], status or b"", sent, final)


async def _runs(tx: Transaction, taken: Mapping[SagaRef, Row], names: StepNames) -> dict[SagaRef, Run]:
    keys, values = _keys([*taken], 1)
    sql = f"""SELECT subject, saga, attempt, step, state, tries, sent, result, note FROM souk_saga_step
              WHERE (subject, saga, attempt) IN ({keys})"""
    steps: defaultdict[SagaRef, dict[str, Row]] = defaultdict(dict)
    for row in await tx.fetch(sql, *values):
        steps[ref_of(row)][row["step"]] = row
    return {
        ref: Run(Phase(row["phase"]), _in_order(steps[ref], names(ref.name, row["version"])), refusal_of(row))
        for ref, row in taken.items()
    }


async def _news(
    tx: Transaction, taken: Mapping[SagaRef, Row], runs: Mapping[SagaRef, Run], names: StepNames
) -> dict[SagaRef, WaitNews]:
    """Returns what has come for those that wait."""
    awaited = {
        ref: names(ref.name, taken[ref]["version"])[run.awaiting]
        for ref, run in runs.items()
        if run.awaiting is not None
    }
    if not awaited:
        return {}
    keys, values = _keys([*awaited], 1)
    rows = await tx.fetch(
        f"""SELECT r.subject, r.saga, r.attempt, r.wait_until <= {tx.dialect.now} AS due, w.step, m.body, m.traceparent
            FROM souk_saga_run r
            LEFT JOIN souk_saga_wait w ON {_SAME_RUN}
            LEFT JOIN souk_saga_message m ON m.message = w.message AND m.id = w.message_id
            WHERE (r.subject, r.saga, r.attempt) IN ({keys})""",
        *values,
    )
    news = {ref_of(row): WaitNews(None, bool(row["due"])) for row in rows}
    for row in rows:
        if row["step"] == awaited[ref_of(row)]:
            news[ref_of(row)] = WaitNews(row["body"], bool(row["due"]), row["traceparent"] or "")
    return news


def _held(row: Row, run: Run, news: WaitNews | None, previous: str) -> Held:
    origin = row["input"], row["on_behalf_of"], row["traceparent"]
    begun = row["version"], row["fingerprint"], row["asked"]
    left, carried = row["remaining"] / MICROSECONDS, (row["tracestate"], row["releases"])
    return Held(ref_of(row), row["epoch"], row["revision"], *origin, left, run, *begun, news, previous, *carried)


def _in_order(rows: Mapping[str, Row], names: Sequence[str]) -> tuple[StepRun, ...]:
    """Returns the steps in the order of `names`; a step that is not recorded is WAITING."""
    if strangers := rows.keys() - set(names):
        raise LookupError(f"recorded steps that the saga no longer has: {sorted(strangers)}")
    known = {
        name: StepRun(StepState(row["state"]), row["tries"], row["sent"], row["result"], row["note"])
        for name, row in rows.items()
    }
    return tuple(known.get(name, StepRun()) for name in names)


def _keys(refs: Sequence[SagaRef], first: int) -> tuple[str, list[Value]]:
    """Returns the keys of runs as SQL, and its values; `first` numbers the first parameter.

    Keys are repeated until their number is a power of two, so that there are few texts for the database to prepare.
    """
    count = 1 << (len(refs) - 1).bit_length()
    padded = [*refs, *[refs[-1]] * (count - len(refs))]
    values: list[Value] = [value for ref in padded for value in (ref.subject, ref.name, ref.attempt)]
    return _key_rows(count, first), values


@cache
def _key_rows(count: int, first: int) -> str:
    numbers = range(first, first + 3 * count, 3)
    rows = (f"(CAST(${one} AS TEXT), CAST(${one + 1} AS TEXT), CAST(${one + 2} AS BIGINT))" for one in numbers)
    return f"VALUES {', '.join(rows)}"
