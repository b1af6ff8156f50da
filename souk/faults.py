"""Named points at which a test makes a process die.

They are inert until a development setting arms one. An armed point ends the process at once, as
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
    """`armed` maps a point's name to the number of times it is passed before it strikes (0: at once)."""

    armed: Mapping[str, int] = field(default_factory=dict)
    strike: Callable[[], None] = _die
    _passed: dict[str, int] = field(default_factory=dict)

    def point(self, name: str) -> None:
        """Strikes if `name` is armed and its turn has come; else does nothing."""
        if not self.armed or name not in self.armed:
            return
        passed = self._passed.get(name, 0)
        self._passed[name] = passed + 1
        if passed == self.armed[name]:
            self.strike()


INERT = Faults()
