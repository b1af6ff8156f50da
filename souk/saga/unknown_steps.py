"""Finds open runs of another version of the program: this one does not know their steps, or the whole saga.

They are not driven, so that the version that knows them can go on, and are marked, so that an operator sees them.
"""

from collections.abc import Mapping, Sequence

from souk.saga.definition import SagaRef
from souk.store.database import Transaction, Value

_OF_RUN = "s.subject = r.subject AND s.saga = r.saga AND s.attempt = r.attempt"
_MARK = "UPDATE souk_saga_run SET unknown_step = $4 WHERE subject = $1 AND saga = $2 AND attempt = $3"


def known_steps(steps: Mapping[str, Sequence[str]]) -> list[Value]:
    """Returns every step of these sagas as `saga/step`; `steps` are the step names by saga."""
    return [f"{saga}/{name}" for saga, names in steps.items() for name in names]


def has_unknown(marks: str) -> str:
    """Returns SQL for whether the run `r` has a recorded step that is not among the values of these parameters."""
    return f"EXISTS (SELECT 1 FROM souk_saga_step s WHERE {_OF_RUN} AND s.saga || '/' || s.step NOT IN ({marks}))"


async def mark(tx: Transaction, steps: Mapping[str, Sequence[str]]) -> dict[SagaRef, str]:
    """Marks runs with unknown steps, and unmarks all others; returns the marked ones, each with its first such step."""
    found = await _unknown(tx, steps)
    rows = await tx.fetch("SELECT subject, saga, attempt, unknown_step FROM souk_saga_run WHERE unknown_step <> ''")
    marked = {SagaRef(row["saga"], row["subject"], row["attempt"]): row["unknown_step"] for row in rows}
    changes = {**dict.fromkeys(marked.keys() - found.keys(), ""), **dict(found.items() - marked.items())}
    if changes:
        await tx.execute_many(_MARK, [(ref.subject, ref.name, ref.attempt, step) for ref, step in changes.items()])
    return found


async def _unknown(tx: Transaction, steps: Mapping[str, Sequence[str]]) -> dict[SagaRef, str]:
    known = known_steps(steps)
    marks = ", ".join(f"${number}" for number in range(1, len(known) + 1))
    rows = await tx.fetch(
        f"""SELECT r.subject, r.saga, r.attempt, MIN(s.step) AS step
            FROM souk_saga_run r JOIN souk_saga_step s ON {_OF_RUN}
            WHERE r.active AND r.lease_until < {tx.dialect.now} AND s.saga || '/' || s.step NOT IN ({marks})
            GROUP BY r.subject, r.saga, r.attempt""",
        *known,
    )
    return {SagaRef(row["saga"], row["subject"], row["attempt"]): row["step"] for row in rows}
