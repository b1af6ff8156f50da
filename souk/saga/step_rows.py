"""How a step of a run is written: its row says what is true now, and keeps a line for each change."""

from functools import cache

from souk.saga.run import StepRun
from souk.store.database import Value, history_line

MOST_TRIES = 100
"""Of the tries of a step that leave its state as it is, so many are in its history."""
_VALUES = 7


def step_values(name: str, step: StepRun, before: StepRun) -> tuple[Value, ...]:
    """Returns the values of a step for `upsert_steps`, as it is after it was as `before`."""
    change = ""
    if step.state is not before.state or step.tries <= MOST_TRIES:
        change = f"{step.state.value} {step.tries} {' '.join(step.note.split())}".rstrip()
    return (name, step.state.value, step.tries, step.sent, step.result, step.note, change)


@cache
def upsert_steps(steps: int, now: str) -> str:
    """Returns the statement that writes `steps` steps of a run: the run's key, and the values of each step."""
    return f"""
        INSERT INTO souk_saga_step (subject, saga, attempt, step, state, tries, sent, result, note, history, changed_at)
        VALUES {", ".join(_row(4 + _VALUES * step, now) for step in range(steps))}
        ON CONFLICT (subject, saga, attempt, step) DO UPDATE SET state = excluded.state, tries = excluded.tries,
            sent = excluded.sent, result = excluded.result, note = excluded.note, changed_at = excluded.changed_at,
            history = souk_saga_step.history || excluded.history"""


def _row(first: int, now: str) -> str:
    values = ", ".join(f"${number}" for number in range(first, first + _VALUES - 1))
    change = f"CAST(${first + _VALUES - 1} AS TEXT)"
    return f"($1, $2, $3, {values}, CASE WHEN {change} = '' THEN '' ELSE {history_line(now, change)} END, {now})"
