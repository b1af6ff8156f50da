"""Faults on purpose: named places in the code at which a process dies, and services whose calls are slow or fail.

Fault points do nothing until a development setting, or an operator, arms one. An armed point ends the process at once,
as `kill -9` would: no cleanup runs, no buffer is flushed. Faults of calls are in memory alone, and end with their time.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

EXIT_STATUS = 137
CODES = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED", "DATA_LOSS")
"""The gRPC statuses with which calls can be made to fail; none of them proves that nothing was done."""
_LEAST = 1e-9


def _die() -> None:
    os._exit(EXIT_STATUS)


@dataclass
class CallFault:
    """What goes wrong with a `share` of the calls that a service takes: they wait `delay` seconds, and then fail with
    the status `code`, unless that is empty.

    `began` and `ends` are in microseconds since 1970; it is over when the monotonic clock is at `until`. `came` counts
    the calls since it began, and `hit` those of them that it struck.
    """

    delay: float
    code: str
    share: float
    operator: str
    began: int
    ends: int
    until: float
    came: int = 0
    hit: int = 0

    def strikes(self, now: float) -> bool:
        """Counts a call; tells whether the fault strikes it. Of any number of calls it strikes the share, in turn."""
        if now >= self.until:
            return False
        self.came += 1
        struck = int(self.came * self.share + _LEAST) > self.hit
        self.hit += struck
        return struck


@dataclass
class Faults:
    """The fault points of a process: `armed` maps a point's name to how often it is passed before it strikes.

    0 means the first time. `strike` is what an armed point calls; it ends the process. `of_calls` are the last faults
    of calls, by service, and `past` those before them.
    """

    armed: Mapping[str, int] = field(default_factory=dict)
    strike: Callable[[], None] = _die
    of_calls: dict[str, CallFault] = field(default_factory=dict)
    past: deque[tuple[str, CallFault]] = field(default_factory=lambda: deque(maxlen=20))
    _passed: dict[str, int] = field(default_factory=dict)

    def inject(self, service: str, fault: CallFault) -> None:
        """Has calls of a service go wrong, from now on and in place of what went wrong before."""
        self.end(service, fault.began)
        if (before := self.of_calls.pop(service, None)) is not None:
            self.past.append((service, before))
        self.of_calls[service] = fault

    def end(self, service: str, now: int) -> None:
        """Ends the fault of a service's calls, if there is one; `now` is in microseconds since 1970."""
        fault = self.of_calls.get(service)
        if fault is not None:
            fault.until, fault.ends = float("-inf"), min(fault.ends, now)

    def arm(self, name: str) -> None:
        """Has a point strike the next time that it is passed."""
        self.armed = {**self.armed, name: self._passed.get(name, 0)}

    def point(self, name: str) -> None:
        """Calls `strike` if the point `name` is armed and was passed as often as it says; else does nothing."""
        if not self.armed or name not in self.armed:
            return
        passed = self._passed.get(name, 0)
        self._passed[name] = passed + 1
        if passed == self.armed[name]:
            self.strike()


INERT = Faults()
