"""Parked branches: their participant refuses to end them as was decided, so that they wait for an operator.

That is no fault of a network. A participant in which a prepared transaction was ended by hand, or whose database was
restored from an older backup, answers so, and would do so again. The decision stands meanwhile.
"""

from souk.saga.definition import SagaRef
from souk.saga.operator.parked import ParkedStep
from souk.saga.states import StepState
from souk.store.database import Row, Transaction
from souk.two_phase_commit.machine import TwoPhase
from souk.two_phase_commit.store import key_of


async def parked_branches(tx: Transaction, limit: int) -> list[ParkedStep]:
    """Returns the branches that wait for an operator, the oldest run first; a roll-back as the undo of a step."""
    rows = await tx.fetch(
        """SELECT r.name, r.subject, r.attempt, r.phase, p.branch, p.reason, p.tries, p.since
           FROM souk_two_phase_parked p JOIN souk_two_phase_run r ON r.key = p.key
           ORDER BY r.started_at, p.key, p.branch LIMIT $1""",
        limit,
    )
    return [_step(row) for row in rows]


async def retry_parked_branches(tx: Transaction, ref: SagaRef) -> bool:
    """Lets the next coordinator ask a run's parked branches again. Returns whether the run has any."""
    key = key_of(ref)
    run = await tx.fetch_one(f"SELECT key FROM souk_two_phase_run WHERE key = $1{tx.dialect.for_update}", key)
    if run is None or not await tx.execute("DELETE FROM souk_two_phase_parked WHERE key = $1", key):
        return False
    await tx.execute("UPDATE souk_two_phase_run SET lease_until = 0 WHERE key = $1", key, expect_rows=1)
    return True


async def open_runs(tx: Transaction) -> dict[tuple[str, str], int]:
    """Counts the open runs by name and phase; those that wait for an operator count as `parked`."""
    rows = await tx.fetch(
        """SELECT name, count(*) AS runs,
                CASE WHEN key IN (SELECT key FROM souk_two_phase_parked) THEN 'parked' ELSE phase END AS standing
           FROM souk_two_phase_run WHERE NOT ended GROUP BY 1, 3"""
    )
    return {(row["name"], row["standing"]): row["runs"] for row in rows}


def _step(row: Row) -> ParkedStep:
    ref = SagaRef(row["name"], row["subject"], row["attempt"])
    state = StepState.UNDO_PARKED if row["phase"] == TwoPhase.ABORTING else StepState.PARKED
    return ParkedStep(ref, row["branch"], state, row["tries"], row["reason"], row["since"])
