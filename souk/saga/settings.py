"""The numbers of a saga runner."""

import random
from dataclasses import dataclass

from souk.resilience.backoff import Backoff


@dataclass(frozen=True, slots=True)
class SagaSettings:
    """Times in seconds.

    `lease` is how long a run stays with an owner that writes nothing; a crashed owner's runs are
    taken over after it. `claim` is how often somebody looks for such runs, `claim_at_once` how many
    are taken at a time, and `poll` how often a waiter looks whether another replica is done.

    Pauses between tries double from `pause` to `longest_pause`, with jitter. `park_after` is how many
    tries a step that may not be given up has (an undo, one refused after the pivot, or one whose hook
    fails) before it is parked; while its participant or the database is merely away it never is.
    `conflict_tries` is how often a transaction is run again at once because a hook met a
    VersionConflict; after that, as after any other error, with pauses.

    What a run carries, its input and the results of its steps, is kept for `retention` after its end;
    every `sweep` it is looked for what is older, `sweep_batch` runs in a transaction.
    """

    lease: float = 10.0
    claim: float = 1.0
    claim_at_once: int = 100
    poll: float = 0.1
    pause: float = 0.1
    longest_pause: float = 10.0
    park_after: int = 200
    conflict_tries: int = 10
    retention: float = 30 * 86_400.0
    sweep: float = 60.0
    sweep_batch: int = 500

    def pause_after(self, tries: int, chance: random.Random) -> float:
        """The pause after so many tries: exponential, the upper half of it random."""
        return Backoff(self.pause, self.longest_pause).delay(tries, chance)
