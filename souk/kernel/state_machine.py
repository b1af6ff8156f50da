"""A state machine is a table; its rules stand on top of it, and its diagram is drawn from it."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from souk.kernel.errors import SoukError

S = TypeVar("S", bound=Hashable)
E = TypeVar("E", bound=Hashable)


class IllegalTransition(SoukError):
    """The table has no way from this state by this event."""


class StateMachine(Generic[S, E]):
    """`table` maps (state, event) to the next state. What is not in it is illegal."""

    def __init__(self, name: str, initial: S, table: Mapping[tuple[S, E], S]) -> None:
        self.name = name
        self.initial = initial
        self._table = dict(table)

    def next(self, state: S, event: E) -> S:
        """The state after `event`; IllegalTransition if there is none."""
        try:
            return self._table[state, event]
        except KeyError:
            raise IllegalTransition(f"{self.name}: no {event} in {state}") from None

    def allows(self, state: S, event: E) -> bool:
        """Whether the table has a way from `state` by `event`."""
        return (state, event) in self._table

    def diagram(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = [f"    {source} --> {target}: {event}" for (source, event), target in self._table.items()]
        return "\n".join(["stateDiagram-v2", f"    [*] --> {self.initial}", *lines])
