"""What a consumer has in hand: the messages of a group that one request brought, and until when they are its own."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

_AT_ONCE = 10
"""The most messages of a request."""


@dataclass(slots=True, eq=False)
class HeldMessage:
    """A message in hand. Until `until`, on the monotonic clock in seconds, the broker gives it to nobody else."""

    receipt: str
    event_id: str
    until: float
    handled: bool = False


@dataclass(slots=True, eq=False)
class Claim:
    """The messages of one message group that are in hand, in order; those that were deleted are not among them."""

    group: str
    held: list[HeldMessage] = field(default_factory=list)

    def is_sure(self, now: float) -> bool:
        """Whether no other consumer can have any of them."""
        return all(now < message.until for message in self.held)

    @property
    def deletable(self) -> HeldMessage | None:
        """The first that was handled and is not deleted yet."""
        return next((message for message in self.held if message.handled), None)


Part = list[tuple[Claim, HeldMessage]]
"""Messages for one request."""


class ClaimsInHand:
    """All claims of a consumer, by their groups and by their events."""

    def __init__(self) -> None:
        self._by_group: dict[str, Claim] = {}
        self._by_event: dict[str, Claim] = {}

    def __iter__(self) -> Iterator[Claim]:
        return iter(list(self._by_group.values()))

    def add(self, claim: Claim) -> Claim | None:
        """Adds a claim, and returns the one of its group that it replaces: the broker has taken that one back."""
        old = self._by_group.get(claim.group)
        if old is not None:
            self.remove(old)
        self._by_group[claim.group] = claim
        self._by_event.update({message.event_id: claim for message in claim.held})
        return old

    def holds(self, claim: Claim) -> bool:
        """Whether this very claim is in hand."""
        return self._by_group.get(claim.group) is claim

    def is_sure(self, event_id: str, now: float) -> bool:
        """Whether an event is in hand and no other consumer can have it, or any before it."""
        claim = self._by_event.get(event_id)
        return claim is not None and claim.is_sure(now)

    def done(self, claim: Claim, message: HeldMessage) -> None:
        """Takes note that a message was deleted."""
        if message in claim.held:
            claim.held.remove(message)
        if self._by_event.get(message.event_id) is claim and message.event_id not in _ids(claim):
            del self._by_event[message.event_id]
        if not claim.held and self.holds(claim):
            del self._by_group[claim.group]

    def remove(self, claim: Claim) -> None:
        """Takes note that a claim is over."""
        if self.holds(claim):
            del self._by_group[claim.group]
        for message in claim.held:
            if self._by_event.get(message.event_id) is claim:
                del self._by_event[message.event_id]

    def deletable(self) -> Part:
        """Returns one message of each group that may be deleted now."""
        return [(claim, message) for claim in self if (message := claim.deletable) is not None]

    def expiring(self, before: float) -> Part:
        """Returns the messages that are still to be handled and are sure only until a time before this."""
        return [
            (claim, message)
            for claim in self
            for message in claim.held
            if not message.handled and message.until < before
        ]


def _ids(claim: Claim) -> Collection[str]:
    return {message.event_id for message in claim.held}


def parts(found: Part) -> Iterator[Part]:
    """Divides messages among requests."""
    return (found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE))
