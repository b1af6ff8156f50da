"""A coordinator of two-phase commits whose participant has lost what it prepared."""

from google.protobuf.message import Message

from souk.kernel.clock import SystemClock
from souk.saga.definition import Refusal, StepCall
from souk.store.database import Database, Transaction
from souk.testing.saga_suite import refused
from souk.two_phase_commit.coordinator import TwoPhaseCoordinator
from souk.two_phase_commit.definition import AtomicAction, Branch


def losing_coordinator(database: Database) -> TwoPhaseCoordinator:
    """Makes a coordinator of the action `pay`, whose only branch, `charge`, prepares and then refuses every commit."""
    branch = Branch("charge", prepare=_prepare, commit=_end, roll_back=_end)
    action = AtomicAction("pay", branch, decided=_nothing, aborted=_nothing_of, ended=_nothing)
    return TwoPhaseCoordinator(database, [action], SystemClock(), "first", service="shop")


async def _prepare(call: StepCall) -> Message | None:
    return None


async def _end(call: StepCall) -> None:
    raise refused("TRANSACTION_NOT_FOUND")


async def _nothing(tx: Transaction, call: StepCall) -> None:
    """Records nothing."""


async def _nothing_of(tx: Transaction, call: StepCall, refusal: Refusal) -> None:
    """Records nothing."""
