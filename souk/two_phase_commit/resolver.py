"""Ends a participant's branches in doubt: prepared, and nobody has said for a while what becomes of them.

The coordinator ends its branches by itself, also after its death. This is for a branch that it cannot reach, or does
not know: the participant asks the coordinator's record. While that cannot be read, or has no decision, the branch stays
prepared and keeps its locks, because either guess could be wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

import structlog
from grpc.aio import AioRpcError

from souk.kernel.errors import DomainError, SoukError
from souk.store.database import PreparedTransaction
from souk.two_phase_commit.participant import TwoPhaseParticipant

log = structlog.get_logger("souk.two_phase_commit")

IN_DOUBT_AFTER = 5.0
"""Seconds after which a prepared branch is in doubt."""
EVERY = 2.0
"""Seconds between two looks."""


class BranchFate(Enum):
    """What a coordinator's record says of a run. OPEN: it is not decided yet."""

    COMMIT = "commit"
    ABORT = "abort"
    OPEN = "open"


Ask = Callable[[str], Awaitable[BranchFate]]
"""Asks the coordinator's record about a key. May raise SoukError or AioRpcError: then it is asked again."""


class TwoPhaseResolver:
    """Resolves the branches of one participant; a branch is in doubt once it is `in_doubt_after` seconds old."""

    def __init__(self, participant: TwoPhaseParticipant, ask: Ask, in_doubt_after: float = IN_DOUBT_AFTER) -> None:
        self._participant = participant
        self._ask = ask
        self._in_doubt_after = in_doubt_after

    async def run(self) -> None:
        """Resolves until it is cancelled."""
        while True:
            try:
                await self.resolve()
            except SoukError as error:
                log.warning("prepared transactions cannot be read", error=type(error).__name__)
            await asyncio.sleep(EVERY)

    async def resolve(self) -> int:
        """Looks once; returns how many branches are still in doubt."""
        standing = await self._participant.standing()
        in_doubt = [branch for branch in standing if branch.age >= self._in_doubt_after]
        ended = [await self._resolved(branch) for branch in in_doubt]
        return ended.count(False)

    async def _resolved(self, branch: PreparedTransaction) -> bool:
        try:
            decision = await self._ask(branch.name)
            if decision is BranchFate.OPEN:
                return False
            end = self._participant.commit if decision is BranchFate.COMMIT else self._participant.roll_back
            await end(branch.name)
        except DomainError as error:  # somebody else has ended it meanwhile
            log.warning("prepared transaction in doubt", key=branch.name, reason=error.reason)
            return False
        except (SoukError, AioRpcError) as error:
            log.warning("prepared transaction in doubt", key=branch.name, age=branch.age, error=type(error).__name__)
            return False
        log.info("prepared transaction resolved", key=branch.name, decision=decision.value, age=branch.age)
        return True
