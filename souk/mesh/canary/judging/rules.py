"""Rules on which a canary is rolled back, such as `failures>1%` or `p99>1.5x`."""

import re
from dataclasses import dataclass
from enum import Enum

from souk.kernel.errors import ConfigurationError

_FORM = re.compile(r"(failures|p(\d{2}(?:\.\d{1,2})?))\s*>\s*(\d+(?:\.\d+)?)\s*(%|x|ms|s)")
_EXAMPLES = "failures>1%, failures>1.5x, p99>1.5x or p99>300ms"
_MOST_TIMES = 100.0


class RuleLimit(Enum):
    """How a limit is meant."""

    SHARE = "%"
    """A share of the calls."""
    TIMES = "x"
    """So many times what the baseline does over the same time."""
    SECONDS = "s"
    """A duration."""


@dataclass(frozen=True, slots=True)
class AbortRule:
    """Breached by more failures, or by a slower quantile, than `limit` allows: a share of 1, times, or seconds.

    `quantile` is that of the durations, as 0.99; None for the share of failures. `text` is the rule as it was written.
    """

    text: str
    quantile: float | None
    limit: float
    kind: RuleLimit

    @property
    def allowed(self) -> float | None:
        """The share of calls that may fail or be slow; None if the baseline decides it."""
        if self.kind is RuleLimit.TIMES:
            return None
        return self.limit if self.quantile is None else 1 - self.quantile

    @property
    def least_calls(self) -> int:
        """The calls in which at least one is expected to fail or to be slow at the limit."""
        share = self.allowed if self.quantile is None else 1 - self.quantile
        return 1 if share is None else round(1 / share)


def parse_rule(text: str) -> AbortRule:
    """Reads a rule. Raises ConfigurationError, in one line, for what is none."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{text!r} is no rule of a canary: write it as {_EXAMPLES}")
    measure, percent, number, unit = found.groups()
    quantile, limit = None if percent is None else round(float(percent) / 100, 6), float(number)
    if quantile is not None and quantile < 0.5:
        raise ConfigurationError(
            f"{text!r}: {measure} says nothing about slow calls: take p50 to p99.9, as {_EXAMPLES}"
        )
    if quantile is None and unit in ("ms", "s"):
        raise ConfigurationError(f"{text!r}: failures are a share or a multiple: write failures>1% or failures>1.5x")
    if quantile is not None and unit == "%":
        raise ConfigurationError(f"{text!r}: a quantile is a time or a multiple: write p99>300ms or p99>1.5x")
    _require_possible(text, limit, unit)
    kind = RuleLimit.SECONDS if unit in ("ms", "s") else RuleLimit(unit)
    scale = {"%": 100, "ms": 1000}.get(unit, 1)
    return AbortRule(f"{measure}>{number}{unit}", quantile, limit / scale, kind)


def _require_possible(text: str, limit: float, unit: str) -> None:
    if unit == "%" and not 0 < limit < 100:
        raise ConfigurationError(f"{text!r}: a share is above 0% and below 100%")
    if unit == "x" and not 1 <= limit <= _MOST_TIMES:
        raise ConfigurationError(f"{text!r}: a multiple of the baseline is 1x to {_MOST_TIMES:.0f}x")
    if limit == 0:
        raise ConfigurationError(f"{text!r}: every call takes longer than that; write p99>300ms")
