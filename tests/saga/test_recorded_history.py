"""The rules of a saga as production runs them: every decision is recorded, and an operator's retry is the command's."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import precondition, rule

from souk.kernel.errors import LeaseLost, Outcome
from souk.saga import machine
from souk.saga.definition import SagaRef
from souk.saga.driving.hooks import to_rest
from souk.saga.operator import parked
from souk.saga.run import Decision, Held, Run
from souk.saga.store import SagaStore
from souk.saga.takeover.due import due_runs
from souk.saga.versions import SagaVersions
from souk.saga.waiting.rest import resting_at
from souk.store.database import Work
from souk.store.migrations import PLATFORM, migrate, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from tests.properties import examples
from tests.saga.test_machine import UNKNOWN, SagaHistory

REF = SagaRef("s", "O-1", 1)
LEASE = 3_600.0


class RecordedHistory(SagaHistory):
    """A history whose run lies in SQLite: an operator and a new owner know what is recorded, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.database = self.loop.run(SqliteDatabase.open(Path(self.folder.name) / "shop.db"))
        self.loop.run(migrate(self.database, platform_migrations(), PLATFORM))
        self.held: Held | None = None
        self.writes = 0

    def teardown(self) -> None:
        self.loop.run(self.database.close())
        self.loop.close()
        self.folder.cleanup()

    def transact(self, work: Work[Any]) -> Any:
        return self.loop.run(self.database.run(work))

    def take(self, decision: Decision) -> None:
        if self.held is None:
            self.versions = SagaVersions([self.saga])
            self.store = SagaStore(self.versions.step_names, "runner", LEASE)
            origin = b"input", "U-1", ""
            self.held = Held(REF, 1, 0, *origin, 60.0, decision.run, 1, self.saga.fingerprint)
            self.transact(partial(self.store.insert, held=self.held))
            self.rest_or_go_on(None, decision.run)
        else:
            if resting_at(self.run) is not None and decision.run != self.run:
                self.taken_over()  # a run at rest is nobody's
            assert self.record(decision.run)
            self.rest_or_go_on(self.run, decision.run)
        self.recorded = decision.run
        super().take(decision)

    def record(self, run: Run) -> bool:
        held, revision = self.held, self.writes
        self.writes += 1
        return self.transact(partial(self.store.record, held=held, revision=revision, old=self.run, new=run))

    def rest_or_go_on(self, old: Run | None, new: Run) -> None:
        self.transact(partial(to_rest, saga=self.saga, held=self.held, old=old, new=new, soon=LEASE))

    def taken_over(self) -> Run:
        (self.held,) = self.transact(partial(self.store.take, refs=[REF]))
        self.writes = self.held.revision
        # What a new owner makes of the record is not written before its next decision about that step.
        assert machine.resumed(self.saga, self.held.run) == machine.resumed(self.saga, self.recorded)
        return self.held.run

    def retried(self) -> Run:
        self.recorded = machine.retried(self.recorded)
        assert self.transact(partial(parked.retry_parked, ref=REF))
        with pytest.raises(LeaseLost):
            self.record(self.run)
        assert self.transact(partial(due_runs, limit=1, versions=self.versions)) == [REF]
        return machine.resumed(self.saga, self.taken_over())

    @precondition(lambda self: not self.run.parked)
    @rule()
    def operator_without_a_cause(self) -> None:
        assert not self.transact(partial(parked.retry_parked, ref=REF))
        if self.run.awaiting is None:
            assert self.transact(partial(self.store.renew, held=self.held))


RecordedHistory.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)
TestRecordedHistory = RecordedHistory.TestCase


@pytest.fixture
def history() -> Iterator[RecordedHistory]:
    history = RecordedHistory()
    yield history
    history.teardown()


def test_an_operator_retries_a_parked_step(history: RecordedHistory) -> None:
    history.begin(pivot=0, undo=False, wide=False)
    history.answer(pick=0, outcome=Outcome.REFUSED, late=False, final=True, tries_exhausted=False)
    history.operator()
    assert (history.run.to_do, history.run.steps[0].tries) == ((0,), 0)


def test_an_operator_retries_a_parked_undo(history: RecordedHistory) -> None:
    history.begin(pivot=3, undo=True, wide=False)
    history.answer(pick=0, outcome=Outcome.DONE, late=False, final=False, tries_exhausted=False)
    history.deadline()
    history.take(machine.undo_failed(history.saga, history.run, 0, UNKNOWN, tries_exhausted=True))
    history.operator()
    assert (history.run.to_undo, history.run.steps[0].tries) == ((1, 0), 0)


def test_a_run_that_is_turned_back_while_it_rests_has_an_owner_again(history: RecordedHistory) -> None:
    history.begin(pivot=2, undo=False, wide=False, waits=True, goes_on=False)
    while history.run.awaiting is None:
        history.answer(pick=0, outcome=Outcome.DONE, late=False, final=False, tries_exhausted=False)
    history.operator_compensates()
    history.operator_without_a_cause()
