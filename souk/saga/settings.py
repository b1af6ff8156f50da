"""The settings of a saga runner."""

import random
from dataclasses import dataclass

from souk.resilience.backoff import Backoff


@dataclass(frozen=True, slots=True)
class SagaSettings:
    """The settings of a saga runner. Times are in seconds.

    `lease` is how long a run stays with an owner that writes nothing; a crashed owner's runs are
    taken over after it. `claim` is how often a runner looks for such runs at least, `claim_at_once` how many
    it takes in one transaction, and `poll` how often a waiter checks whether another replica is done.

    `taken_at_once` is how many of the runs that a runner has taken over it drives at once. A run that has paused
    between two tries counts no more, nor does one that was started here.

    Pauses between tries double from `pause` to `longest_pause`, with jitter. `park_after` is how many
    tries a step has that cannot be given up (an undo, a step refused after the pivot, or one whose hook
    fails) before it is parked. Tries that did not reach the participant or the database do not count.
    `conflict_tries` is how often a transaction is run again at once after a hook raised
    VersionConflict; after that, as after any other error, it is run again with pauses.

    The data of a run, its input and the results of its steps, are kept for `retention` after its end;
    every `sweep` older data are dropped, `sweep_batch` runs in a transaction.
    """

    lease: float = 10.0
    claim: float = 1.0
    claim_at_once: int = 100
    taken_at_once: int = 250
    poll: float = 0.1
    pause: float = 0.1
    longest_pause: float = 10.0
    park_after: int = 200
    conflict_tries: int = 10
    retention: float = 30 * 86_400.0
    sweep: float = 60.0
    sweep_batch: int = 500

    def pause_after(self, tries: int, chance: random.Random) -> float:
        """Returns the pause after `tries` tries, in seconds: exponential, the upper half of it random."""
        return Backoff(self.pause, self.longest_pause).delay(tries, chance)
