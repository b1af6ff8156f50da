"""The breakers of all processes of a fleet, and the modes that an operator has set.

A mode is also set in processes that start later: a breaker that was forced open stays open when a process is
replaced.
"""

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import ask_all
from souk.admin.messages import MODE_NUMBERS, MODES
from souk.admin.process_status import Supervised, View, answering
from souk.kernel.errors import DomainError, InvalidArgument, Violation
from souk.kernel.suggest import unknown
from souk.runtime.calls.breaker_registry import ModeOverrides
from souk.telemetry.logs import logger

EVERY = 0.25
"""Seconds between two checks for new processes, once a mode was set."""
_NO_REQUEST = fleet_pb2.ListBreakersRequest()
_SET = frozenset(
    {
        fleet_pb2.BREAKER_STATE_FORCED_OPEN,
        fleet_pb2.BREAKER_STATE_DISABLED,
        fleet_pb2.BREAKER_STATE_METRICS_ONLY,
    }
)
"""States in which a breaker is because somebody wanted it."""

_Answer: TypeAlias = fleet_pb2.ListBreakersResponse | fleet_pb2.SetBreakerResponse
_log = logger("control")


class BreakerOverrides:
    """Lists and sets the breakers of all processes of a fleet, and keeps what was set for new processes."""

    def __init__(self, fleet: Supervised) -> None:
        self._fleet = fleet
        self._overrides = ModeOverrides()
        self._reasons: dict[tuple[str, str], tuple[str, str]] = {}
        self._given = asyncio.Event()
        self._informed: set[tuple[str, int | None]] = set()

    async def breakers(self) -> fleet_pb2.ListBreakersResponse:
        """Lists the breakers of every process, and the ready processes that did not answer."""
        answers = await ask_all(self._alive(), lambda process: process.ListBreakers(_NO_REQUEST))
        return fleet_pb2.ListBreakersResponse(breakers=self._explained(answers), silent=_silent(answers))

    async def give(self, request: fleet_pb2.SetBreakerRequest) -> fleet_pb2.SetBreakerResponse:
        """Sets breakers in every process, from now on.

        Raises DomainError when there is no such breaker, and InvalidArgument without a mode.
        """
        if request.mode not in MODES:
            raise InvalidArgument([Violation("mode", "must be given")])
        _check(request, (await self.breakers()).breakers)
        self._overrides.put(MODES[request.mode], request.callee, request.caller)
        if not request.caller:
            self._reasons = {pair: why for pair, why in self._reasons.items() if pair[0] != request.callee}
        self._reasons[request.callee, request.caller] = (request.operator, request.why)
        mode = fleet_pb2.BreakerMode.Name(request.mode).removeprefix("BREAKER_MODE_").lower().replace("_", " ")
        whose = {"callee": request.callee, "caller": request.caller, "operator": request.operator}
        _log.info("an operator set breakers", mode=mode, why=request.why, **whose)
        answers = await ask_all(self._alive(), lambda process: process.SetBreaker(request))
        self._informed = {_key(view) for view, answer in answers if answer}
        self._given.set()
        return fleet_pb2.SetBreakerResponse(breakers=self._explained(answers), silent=_silent(answers))

    def _explained(self, answers: Iterable[tuple[View, _Answer | None]]) -> list[fleet_pb2.BreakerStatus]:
        """Gives the breakers of all answers; those whose mode was set with who did it, and why."""
        found = [breaker for _, answer in answers if answer for breaker in answer.breakers]
        for one in found:
            if one.state in _SET:
                by_all = self._reasons.get((one.callee, ""), ("", ""))
                one.operator, one.why = self._reasons.get((one.callee, one.caller), by_all)
        return found

    async def keep(self) -> None:
        """Sets the modes in processes that are new, until it is cancelled."""
        await self._given.wait()
        while True:
            new = [view for view in self._alive() if _key(view) not in self._informed]
            for view, answer in await ask_all(new, self._apply):
                if answer:
                    self._informed.add(_key(view))
            await asyncio.sleep(EVERY)

    async def _apply(self, process: "fleet_pb2_grpc.ProcessAsyncStub") -> bool:
        for mode, callee, caller in self._overrides:
            request = fleet_pb2.SetBreakerRequest(mode=MODE_NUMBERS[mode], callee=callee, caller=caller)
            await process.SetBreaker(request)
        return True

    def _alive(self) -> list[View]:
        return [view for view in self._fleet.processes() if view.pid and answering(view)]


def _key(view: View) -> tuple[str, int | None]:
    return view.instance, view.pid


def _silent(answers: Iterable[tuple[View, object | None]]) -> list[str]:
    # A process that is starting or ending is not expected to answer.
    return [view.instance for view, answer in answers if answer is None and view.state == "ready"]


def _check(request: fleet_pb2.SetBreakerRequest, known: Iterable[fleet_pb2.BreakerStatus]) -> None:
    breakers = list(known)
    callees = {breaker.callee for breaker in breakers}
    if request.callee not in callees:
        raise DomainError("UNKNOWN_BREAKER", unknown("breaker around", request.callee, callees))
    callers = {breaker.caller for breaker in breakers if breaker.callee == request.callee}
    if request.caller and request.caller not in callers:
        raise DomainError("UNKNOWN_BREAKER", unknown(f"caller of {request.callee}", request.caller, callers))
