"""Records which definitions were in use, and refuses to start a program that would strand open runs.

A definition that was changed without a new version would be another one than its open runs began with: nobody could
end them. So a changed definition is refused while such runs are open, and its fingerprint tells that it changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from souk.kernel.errors import ConfigurationError
from souk.saga.versions import SagaVersion, SagaVersions
from souk.store.database import Transaction

_DEFINITION = """INSERT INTO souk_saga_definition (saga, version, fingerprint, steps, first_at)
    VALUES ($1, $2, $3, $4, {now}) ON CONFLICT (saga, version, fingerprint) DO NOTHING"""
_BEGUN = """SELECT r.saga, r.version, r.fingerprint, count(*) AS runs, min(r.subject) AS subject
    FROM souk_saga_run r WHERE NOT r.ended GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
_RECORDED = """SELECT DISTINCT s.saga, s.step
    FROM souk_saga_run r JOIN souk_saga_step s
      ON s.subject = r.subject AND s.saga = r.saga AND s.attempt = r.attempt
    WHERE NOT r.ended AND r.fingerprint = ''"""


@dataclass(frozen=True, slots=True)
class Stranded:
    """Open runs that cannot go on by the definitions of this program, and why; `subject` is that of one of them."""

    begun: SagaVersion
    runs: int
    subject: str
    why: str


async def stranded(tx: Transaction, versions: SagaVersions) -> list[Stranded]:
    """Returns the open runs that would be stranded, by the definitions that they began with."""
    groups = await tx.fetch(_BEGUN)
    recorded: dict[str, set[str]] = {}
    if any(not row["fingerprint"] for row in groups):
        for row in await tx.fetch(_RECORDED):
            recorded.setdefault(row["saga"], set()).add(row["step"])
    found: list[Stranded] = []
    for row in groups:
        begun = SagaVersion(row["saga"], row["version"], row["fingerprint"])
        if why := versions.why_stranded(begun, recorded.get(begun.name, ())):
            found.append(Stranded(begun, row["runs"], row["subject"], why))
    return found


async def require_compatible(tx: Transaction, versions: SagaVersions) -> list[Stranded]:
    """Records the definitions of this program; returns the runs that only another program can end.

    Those are of versions or sagas that this program does not have: in a deploy or its roll-back, other processes end
    them. Raises ConfigurationError when a definition changed under its open runs: that is a mistake in every case.
    """
    found = await stranded(tx, versions)
    known = {(saga.name, saga.version) for saga in versions}
    if changed := [one for one in found if (one.begun.name, one.begun.version) in known]:
        raise ConfigurationError(_refusal(changed))
    await _record(tx, versions)
    return found


async def _record(tx: Transaction, versions: SagaVersions) -> None:
    rows = await tx.fetch("SELECT saga, version, fingerprint FROM souk_saga_definition")
    recorded = {(row["saga"], row["version"], row["fingerprint"]) for row in rows}
    statement = _DEFINITION.format(now=tx.dialect.now)
    for saga in versions:
        if (saga.name, saga.version, saga.fingerprint) not in recorded:
            await tx.execute(statement, saga.name, saga.version, saga.fingerprint, "\n".join(saga.outline))


def _refusal(changed: Sequence[Stranded]) -> str:
    first = changed[0]
    runs = "1 open run" if first.runs == 1 else f"{first.runs} open runs"
    return (
        f"{runs} of {first.begun} would be stranded, such as that of {first.subject}: {first.why}; "
        "`souk saga check` lists them"
    )
