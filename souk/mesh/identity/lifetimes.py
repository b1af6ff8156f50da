"""How long certificates are valid, and how late peers may be."""

from dataclasses import dataclass

from souk.kernel.errors import ConfigurationError

_MINUTE, _DAY = 60, 86_400
SHORTEST = 8
"""Seconds that a certificate lives at least: so that it is renewed in time on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Durations in seconds; `root`, `intermediate` and `leaf` are lifetimes, of which half passes before a renewal.

    `skew` is how far the clocks of two machines may differ; a leaf is valid so long before it is issued. `delay` is the
    time within which every peer that the control plane serves has what it was sent. `backdated` is how long before its
    making a signing certificate is valid, so that a clock that is set back a little does no harm.

    Raises ConfigurationError when something could expire before its successor is in use.
    """

    leaf: int = 10 * _MINUTE
    intermediate: int = 7 * _DAY
    root: int = 365 * _DAY
    skew: int = _MINUTE
    delay: int = _MINUTE
    backdated: int = _DAY

    @classmethod
    def of(cls, leaf: float) -> "Lifetimes":
        """Makes the lifetimes around certificates that are valid for `leaf` seconds; peers have less time, and clocks
        may differ less, where these live short.

        Raises ConfigurationError for less than SHORTEST, and for more than half of what the intermediate lives.
        """
        if leaf < SHORTEST:
            raise ConfigurationError(
                f"a certificate must live for {SHORTEST} seconds at least, not {leaf:g}: set SOUK_MESH_CERTIFICATE_LIFE"
            )
        seconds = int(leaf)
        return cls(seconds, delay=min(_MINUTE, seconds // 4), skew=min(_MINUTE, seconds // 10))

    @property
    def checked_every(self) -> float:
        """Seconds within which it is to be seen what is due: several fit into the delay."""
        return self.delay / 4

    def __post_init__(self) -> None:
        rules = (
            (self.delay > 0 <= self.skew, "the delay must be more than 0 seconds, and the skew not less"),
            (
                self.leaf >= 4 * self.delay,
                f"a certificate must live for four times the delay: {4 * self.delay} seconds",
            ),
            (self.intermediate >= 2 * self.leaf, "the intermediate must live twice as long as a certificate"),
            (self.root >= 2 * self.intermediate, "the root must live twice as long as the intermediate"),
            (self.backdated >= self.skew, "signing certificates must be backdated by the skew at least"),
        )
        for holds, rule in rules:
            if not holds:
                raise ConfigurationError(rule)
