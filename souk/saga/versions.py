"""The definitions that this program has, and the open runs that it may therefore drive.

A run goes on by the definition it began with: its row has the version and the fingerprint of that definition. Runs
without that definition here are not driven, so that the program that has it can go on, and are marked, so that an
operator sees them. A run that was recorded before definitions had versions is of version 1 and has no fingerprint; the
names of its recorded steps are compared instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from souk.saga.definition import Saga, SagaRef
from souk.store.database import Transaction, Value

_OF_RUN = "s.subject = r.subject AND s.saga = r.saga AND s.attempt = r.attempt"
_MARK = "UPDATE souk_saga_run SET unknown_step = $4 WHERE subject = $1 AND saga = $2 AND attempt = $3"
FIRST = 1
"""The version of a definition that states none, and of every run recorded before versions."""


@dataclass(frozen=True, slots=True)
class SagaVersion:
    """A definition of a saga, as a run names it; `fingerprint` is empty for runs recorded before there was one."""

    name: str
    version: int
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class SagaVersions:
    """The definitions of a program. New runs begin by the highest version of a name; the others end old runs.

    Raises ValueError for two definitions of one name and version.
    """

    def __init__(self, sagas: Iterable[Saga]) -> None:
        self._all: dict[tuple[str, int], Saga] = {}
        for saga in sagas:
            if (saga.name, saga.version) in self._all:
                raise ValueError(f"saga {saga.name!r} has two definitions of version {saga.version}")
            self._all[saga.name, saga.version] = saga
        self._latest = {name: self._all[name, version] for name, version in sorted(self._all)}

    def __iter__(self) -> Iterator[Saga]:
        return iter(self._all.values())

    def latest(self, name: str) -> Saga:
        """Returns the definition by which new runs begin. Raises KeyError for an unknown name."""
        return self._latest[name]

    def of(self, name: str, version: int) -> Saga:
        """Returns one definition. Raises KeyError if this program does not have it."""
        return self._all[name, version]

    def step_names(self, name: str, version: int) -> Sequence[str]:
        """Returns the names of a definition's steps, in order. Raises KeyError if this program does not have it."""
        return [step.name for step in self.of(name, version).steps]

    def why_stranded(self, begun: SagaVersion, recorded: Iterable[str]) -> str:
        """Returns why a run that began by this definition cannot go on here, and what to do; empty if it can.

        `recorded` are the names of its recorded steps.
        """
        saga = self._all.get((begun.name, begun.version))
        if saga is None:
            return f"{self._those_of(begun.name)}; keep {begun} beside it until its runs have ended"
        if begun.fingerprint in ("", saga.fingerprint):
            strangers = set(recorded) - {step.name for step in saga.steps}
            if begun.fingerprint or not strangers:
                return ""
            what = f"has no step {min(strangers)!r}"
        else:
            what = "has other steps"
        return (
            f"{begun} of this program {what}: give the changed definition version={self.latest(begun.name).version + 1}"
            f", and keep the old one beside it until its runs have ended"
        )

    def _those_of(self, name: str) -> str:
        versions = sorted(version for known, version in self._all if known == name)
        if not versions:
            return f"this program has no saga {name!r}"
        return f"this program has {name} version {', '.join(map(str, versions))} only"

    def drivable(self, first: int) -> tuple[str, list[Value]]:
        """Returns SQL for whether a run `r` can go on here, and its values; `first` numbers the first parameter."""
        ids: list[Value] = [f"{saga.name}/{saga.version}/{saga.fingerprint}" for saga in self]
        marks = _marks(first, len(ids))
        known = f"r.saga || '/' || r.version || '/' || r.fingerprint IN ({marks})"
        firsts = [saga for saga in self if saga.version == FIRST]
        if not firsts:
            return f"({known})", ids
        names: list[Value] = [saga.name for saga in firsts]
        steps: list[Value] = [f"{saga.name}/{step.name}" for saga in firsts for step in saga.steps]
        after = first + len(ids)
        strangers = f"s.saga || '/' || s.step NOT IN ({_marks(after + len(names), len(steps))})"
        before = f"""r.fingerprint = '' AND r.version = {FIRST} AND r.saga IN ({_marks(after, len(names))})
            AND NOT EXISTS (SELECT 1 FROM souk_saga_step s WHERE {_OF_RUN} AND {strangers})"""
        return f"({known} OR {before})", [*ids, *names, *steps]


async def mark(tx: Transaction, versions: SagaVersions) -> dict[SagaRef, SagaVersion]:
    """Marks the runs that cannot go on here, and unmarks all others; returns the marked ones."""
    drivable, values = versions.drivable(1)
    rows = await tx.fetch(
        f"""SELECT r.subject, r.saga, r.attempt, r.version, MIN(s.step) AS step
            FROM souk_saga_run r JOIN souk_saga_step s ON {_OF_RUN}
            WHERE r.active AND r.lease_until < (SELECT {tx.dialect.now}) AND NOT {drivable}
            GROUP BY r.subject, r.saga, r.attempt, r.version""",
        *values,
    )
    found = {SagaRef(row["saga"], row["subject"], row["attempt"]): row for row in rows}
    marked = await tx.fetch("SELECT subject, saga, attempt FROM souk_saga_run WHERE unknown_step <> ''")
    before = {SagaRef(row["saga"], row["subject"], row["attempt"]) for row in marked}
    changes = dict.fromkeys(before - found.keys(), "") | {ref: found[ref]["step"] for ref in found.keys() - before}
    if changes:
        await tx.execute_many(_MARK, [(ref.subject, ref.name, ref.attempt, step) for ref, step in changes.items()])
    return {ref: SagaVersion(ref.name, row["version"]) for ref, row in found.items()}


def _marks(first: int, count: int) -> str:
    return ", ".join(f"${number}" for number in range(first, first + count))
