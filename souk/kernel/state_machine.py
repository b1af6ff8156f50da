"""State machines as tables: the owner's rules use the table, and the diagram is drawn from it."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from souk.kernel.errors import SoukError

S = TypeVar("S", bound=Hashable)
E = TypeVar("E", bound=Hashable)


class IllegalTransition(SoukError):
    """The table has no transition from this state by this event."""


class StateMachine(Generic[S, E]):
    """A state machine: `table` maps (state, event) to the next state. A transition that is not in it is illegal."""

    def __init__(self, name: str, initial: S, table: Mapping[tuple[S, E], S]) -> None:
        self.name = name
        self.initial = initial
        self._table = dict(table)

    def next(self, state: S, event: E) -> S:
        """Returns the state after `event`. Raises IllegalTransition if the table has none."""
        try:
            return self._table[state, event]
        except KeyError:
            raise IllegalTransition(f"{self.name}: no {event} in {state}") from None

    def allows(self, state: S, event: E) -> bool:
        """Whether the table has a transition from `state` by `event`."""
        return (state, event) in self._table

    def diagram(self) -> str:
        """Draws the table as a Mermaid state diagram."""
        lines = [f"    {source} --> {target}: {event}" for (source, event), target in self._table.items()]
        return "\n".join(["stateDiagram-v2", f"    [*] --> {self.initial}", *lines])
