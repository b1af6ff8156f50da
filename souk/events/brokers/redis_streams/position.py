"""How far this consumer is in a stream: what it has taken, what it has handled, and what the server knows of that."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

MOST_AT_ONCE = 5_000
"""Entries that one script acknowledges: Lua takes about 8,000 values in a call."""


@dataclass(frozen=True, slots=True)
class StreamClaim:
    """The first `taken` entries that the server does not know to be taken, up to `last`; `in_hand` are not handled yet.

    With `taken` 0 there are none.
    """

    taken: int = 0
    last: str = ""
    in_hand: Sequence[str] = ()


@dataclass(slots=True)
class StreamPosition:
    """A stream that this consumer owns.

    `after` is the last entry that was submitted. While `pending` is true, entries may follow that the server handed
    out before, to this consumer or to the owner before it. `group_at` is where the group stands in the server, and
    `taken` are the entries behind that which were submitted. It is to be looked at as soon as it is not `checked`.
    """

    after: str = "0-0"
    pending: bool = True
    checked: bool = False
    group_at: str = ""
    taken: list[str] = field(default_factory=list)
    claiming: int = 0

    def take(self, entry: str) -> None:
        """Records that an entry was submitted which no consumer has had before."""
        self.after = entry
        self.taken.append(entry)

    def claim(self, handled: Collection[str]) -> StreamClaim:
        """Returns what the server is to be told. One whose answer was lost is repeated until there is one."""
        self.claiming = self.claiming or len(self.taken)
        if not self.claiming:
            return StreamClaim()
        taken = self.taken[: self.claiming]
        ended = set(handled)
        return StreamClaim(self.claiming, taken[-1], [entry for entry in taken if entry not in ended])

    def claimed(self, claim: StreamClaim) -> None:
        """Records that the server knows it."""
        if claim.taken:
            self.group_at = claim.last
            del self.taken[: claim.taken]
            self.claiming = 0

    def unclaimed(self, handled: Collection[str]) -> list[str]:
        """Returns those of these entries that the server does not know to be taken."""
        taken = set(self.taken)
        return [entry for entry in handled if entry in taken]
