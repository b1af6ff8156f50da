"""Head sampling: whether a trace is recorded, decided at its start, as OpenTelemetry specifies.

A parent-based sampler follows the decision that came with a call, and decides by itself for a new trace. A ratio is
decided by the last seven octets of the trace's id, so that every process decides alike (W3C Trace Context Level 2).
A rate is decided by the process in which a trace begins; the others follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import meant

Decide: TypeAlias = Callable[[str], bool]
"""Decides for a trace by its id."""

_RANDOM_BITS = 56


@dataclass(frozen=True, slots=True)
class HeadSampler:
    """Decides by the trace's id; if `parent_based` only where no decision has come with the call.

    With `own_at_edge` the decision of a client from outside is not followed: it could have everything recorded.
    """

    decide: Decide
    parent_based: bool = True
    own_at_edge: bool = False


def always_on(trace_id: str) -> bool:
    """Samples every trace."""
    return True


def always_off(trace_id: str) -> bool:
    """Samples none."""
    return False


def by_ratio(ratio: float) -> Decide:
    """Samples a part of all traces, from 0 to 1."""
    bound = round((1.0 - ratio) * (1 << _RANDOM_BITS))
    return lambda trace_id: int(trace_id[18:], 16) >= bound


class AtMostASecond:
    """Samples `rate` new traces a second of this process, and more after a rest: what it did not take in the `saved`
    seconds before. So all that one person does is sampled, and of a lasting load little."""

    def __init__(self, rate: int, clock: Clock, saved: float) -> None:
        self._rate, self._most, self._clock = rate, rate * saved, clock
        self._left, self._at = self._most, clock.monotonic()

    def __call__(self, trace_id: str) -> bool:
        """Decides for a trace that begins now."""
        now = self._clock.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def head_sampler(name: str, argument: str) -> HeadSampler:
    """Makes the sampler of OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. Raises ConfigurationError."""
    kind, parent_based = name.removeprefix("parentbased_"), name.startswith("parentbased_")
    if kind == "traceidratio":
        return HeadSampler(by_ratio(_ratio(argument)), parent_based)
    simple = {"always_on": always_on, "always_off": always_off}
    if kind not in simple:
        hint = meant(name, [prefix + one for prefix in ("", "parentbased_") for one in (*simple, "traceidratio")])
        raise ConfigurationError(f"OTEL_TRACES_SAMPLER: there is no sampler {name!r}{hint}")
    return HeadSampler(simple[kind], parent_based)


def _ratio(text: str) -> float:
    try:
        ratio = float(text or "1")
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ConfigurationError(f"OTEL_TRACES_SAMPLER_ARG: {text!r} must be a ratio from 0 to 1")
    return ratio
