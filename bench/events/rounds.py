"""The rounds of one broker: in each, every way has its turn."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.events.process import EndProcess
from bench.figures import median, progress

RATE = 200.0
"""Events a second while latency is measured."""
WRITERS = 16
_WARM = 400
PUBLISHED, CONSUMED, THROUGH, STEADY, LATENCY = "published", "consumed", "through", "steady", "latency"


@dataclass(frozen=True, slots=True)
class Way:
    """A way for events: `bare`, `adapter`, `outbox` or `calls`, with a topic of its own.

    `events` is how many are sent in a round.
    """

    name: str
    kind: str
    topic: str
    broker: str
    folder: Path
    events: int
    outbox: str = ""
    inbox: str = ""

    def source(self) -> EndProcess:
        """Makes the process in which events begin; with calls they end there, too."""
        databases = f"{self.outbox},{self.inbox}" if self.kind == "calls" else self.outbox
        return EndProcess(self.folder, self.kind, "source", self.topic, self.broker, databases)

    def sink(self) -> EndProcess:
        """Makes the process in which events end."""
        return EndProcess(self.folder, self.kind, "sink", self.topic, self.broker, self.inbox)


@dataclass
class Measured:
    """Values by what was measured and by way, one for each round: events/s, CPU in us an event, or seconds."""

    found: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, way: Way, value: float) -> None:
        """Adds what was measured in one round."""
        self.found.setdefault(what, {}).setdefault(way.name, []).append(value)

    def of(self, what: str, way: str) -> float:
        """Gives the median of the rounds."""
        return median(self.found[what][way])

    def ratio(self, what: str, way: str, beside: str) -> float:
        """Gives the median of the rounds' ratios."""
        pairs = zip(self.found[what][way], self.found[what][beside], strict=True)
        return median(one / other for one, other in pairs)

    def within(self, way: str, share: float) -> float:
        """Gives the seconds within which this share of the events was handled, over all rounds."""
        found = sorted(self.latencies[way])
        return found[min(len(found) - 1, int(len(found) * share))]


@dataclass
class Rounds:
    """Measures these ways, in turns, `rounds` times; `seconds` is how long a steady rate is held."""

    ways: list[Way]
    rounds: int
    seconds: float
    measured: Measured = field(default_factory=Measured)

    def apart(self) -> None:
        """First everything is published, and then consumed, so that neither end takes the other's time."""
        with self._sources(self.ways) as sources:
            for number in range(self.rounds + 1):
                for way in self.ways:
                    # The last round is not measured: it is for consumers that take more than is counted.
                    self._publish(way, sources[way.name], f"p{number}", counts=number < self.rounds)
        for _ in range(self.rounds):
            for way in self._with_kind("bare", "adapter"):
                self._consume(way)

    def together(self) -> None:
        """The whole way, with both ends at work."""
        ways = self._with_kind("bare", "outbox", "calls")
        with self._sources(ways) as sources, self._sinks(ways, sources) as sinks:
            for way in ways:
                self._through(way, sources[way.name], sinks[way.name], "warm", _WARM)
            for number in range(self.rounds):
                progress(f"events: {ways[0].broker.partition(':')[0] or 'calls'}, round {number + 1}")
                for way in ways:
                    rate = self._through(way, sources[way.name], sinks[way.name], f"t{number}", way.events)
                    self.measured.add(THROUGH, way, rate)
                for way in ways:
                    self._pace(way, sources[way.name], sinks[way.name], f"l{number}")
                for way in ways:
                    if way.outbox:
                        self._write(way, sources[way.name], sinks[way.name], f"s{number}")

    def _with_kind(self, *kinds: str) -> list[Way]:
        return [way for way in self.ways if way.kind in kinds]

    def _publish(self, way: Way, source: EndProcess, run: str, *, counts: bool) -> None:
        source.do("fill", run=run, count=way.events)
        began, ended, cpu = source.do("send")
        source.do("end")
        if counts:
            self.measured.add(PUBLISHED, way, way.events / (ended - began))
            self.measured.add(f"{PUBLISHED}, CPU", way, cpu / way.events * 1e6)

    def _consume(self, way: Way) -> None:
        with way.sink() as sink:
            sink.do("consume")
            took, cpu = sink.do("handled_any", count=way.events)
            sink.do("stop")
        self.measured.add(CONSUMED, way, way.events / took)
        self.measured.add(f"{CONSUMED}, CPU", way, cpu / way.events * 1e6)

    def _through(self, way: Way, source: EndProcess, sink: EndProcess, run: str, count: int) -> float:
        source.do("fill", run=run, count=count)
        began, _, _ = source.do("send")
        ended = sink.do("handled_all", run=run, count=count)
        return float(count / (ended - began))

    def _pace(self, way: Way, source: EndProcess, sink: EndProcess, run: str) -> None:
        sent = source.do("pace", run=run, per_second=RATE, seconds=self.seconds)
        sink.do("handled_all", run=run, count=len(sent))
        handled = sink.do("times", run=run)
        took = [handled[number] - at for number, at in sent.items()]
        self.measured.latencies.setdefault(way.name, []).extend(took)
        self.measured.add(LATENCY, way, median(took))

    def _write(self, way: Way, source: EndProcess, sink: EndProcess, run: str) -> None:
        began = source.do("write", run=run, count=way.events, writers=WRITERS)
        ended = sink.do("handled_all", run=run, count=way.events)
        self.measured.add(STEADY, way, way.events / (ended - began))

    @contextmanager
    def _sources(self, ways: Iterable[Way]) -> Iterator[dict[str, EndProcess]]:
        with ExitStack() as stack:
            yield {way.name: stack.enter_context(way.source()) for way in ways}

    @contextmanager
    def _sinks(self, ways: Iterable[Way], sources: dict[str, EndProcess]) -> Iterator[dict[str, EndProcess]]:
        with ExitStack() as stack:
            sinks = dict(sources)
            for way in ways:
                if way.kind != "calls":
                    sinks[way.name] = stack.enter_context(way.sink())
                    sinks[way.name].do("consume")
            yield sinks
            for way in ways:
                sinks[way.name].do("stop")
