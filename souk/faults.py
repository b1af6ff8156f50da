"""Fault points: named places in the code at which a test kills the process.

They do nothing until a development setting arms one. An armed point ends the process at once, as
`kill -9` would: no cleanup runs, no buffer is flushed.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

EXIT_STATUS = 137


def _die() -> None:
    os._exit(EXIT_STATUS)


@dataclass
class Faults:
    """The fault points of a process: `armed` maps a point's name to how often it is passed before it strikes.

    0 means the first time. `strike` is what an armed point calls; it ends the process.
    """

    armed: Mapping[str, int] = field(default_factory=dict)
    strike: Callable[[], None] = _die
    _passed: dict[str, int] = field(default_factory=dict)

    def point(self, name: str) -> None:
        """Calls `strike` if the point `name` is armed and was passed as often as it says; else does nothing."""
        if not self.armed or name not in self.armed:
            return
        passed = self._passed.get(name, 0)
        self._passed[name] = passed + 1
        if passed == self.armed[name]:
            self.strike()


INERT = Faults()
