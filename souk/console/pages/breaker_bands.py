"""The states of breakers over the last hour, as bands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from soukapi.v1 import fleet_pb2

from souk.admin.documents import breaker_state
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.breaker_history import BreakerKey, BreakerSpell, read_breaker_history
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError

SHOWN = 3_600 * MICROSECONDS
WIDTH = 1_000
TONES = {"closed": "good", "open": "bad", "forced open": "bad", "half open": "warn"}


@dataclass(frozen=True, slots=True)
class Band:
    """One state in a band, in its own units."""

    spell: BreakerSpell
    tone: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class BreakerHistory:
    """The states of all breakers since a moment; `failed` says why they could not be read."""

    since: int
    until: int
    spells: Mapping[BreakerKey, Sequence[BreakerSpell]] = field(default_factory=dict)
    failed: str = ""

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        found = [{**key._asdict(), "states": [one.document for one in spells]} for key, spells in self.spells.items()]
        return {"since": self.since, "until": self.until, "breakers": found, "failed": self.failed}

    def bands(self, key: BreakerKey) -> list[Band]:
        """Returns the bands of a breaker."""
        return [self._band(one) for one in self.spells.get(key, ())]

    def _band(self, one: BreakerSpell) -> Band:
        scale = WIDTH / (self.until - self.since)
        x, width = (one.since - self.since) * scale, (one.until - one.since) * scale
        return Band(one, TONES.get(one.state, "off"), round(x, 1), round(max(width, 2.0), 1))


async def breaker_history(
    source: TelemetrySource | None, breakers: Iterable[fleet_pb2.BreakerStatus], now: int
) -> BreakerHistory:
    """Reads the states of the last hour, and adds the present state of breakers of which nothing older is kept.

    A history that cannot be read hides no breaker.
    """
    since = now - SHOWN
    if source is None:
        return BreakerHistory(since, now, failed="nothing is gathered here")
    try:
        found, _ = await source.ask(lambda connection: read_breaker_history(connection, since, now))
    except ConfigurationError as error:
        return BreakerHistory(since, now, failed=str(error))
    spells = dict(found)
    for one in breakers:
        began = max(one.since.ToMicroseconds(), since)
        if key_of(one) not in spells and began < now:
            spells[key_of(one)] = [BreakerSpell(breaker_state(one), began, now)]
    return BreakerHistory(since, now, spells)


def key_of(one: fleet_pb2.BreakerStatus) -> BreakerKey:
    """Returns which breaker a status is of."""
    return BreakerKey(one.process, one.caller, one.callee, one.method)
