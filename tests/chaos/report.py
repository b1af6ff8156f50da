"""The report of a run, as text and as JSON."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.chaos.history import History, longest_gap
from tests.chaos.nemesis import Injected, Nemesis

SHOWN = 20


@dataclass(frozen=True)
class Struck:
    """An injected fault: when, for how long, and the longest times without a confirmed order and without a read."""

    fault: str
    detail: str
    at: float
    lasted: float
    orders_gap: float
    reads_gap: float
    failed: str


@dataclass(frozen=True)
class Report:
    """The report of a run. Times are in seconds from its beginning."""

    seed: int
    seconds: float
    faults: list[Struck]
    left_out: list[str]
    operations: int
    outcomes: dict[str, int]
    availability: dict[str, float]
    violations: list[str]

    def document(self) -> dict[str, object]:
        """Gives the report as a document for `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Gives the report as lines of text."""
        told = [f"seed {self.seed}, {self.seconds:g} s: {len(self.faults)} faults, {self.operations} operations"]
        for one in self.faults:
            gaps = f"no order for {one.orders_gap:.1f} s, no read for {one.reads_gap:.1f} s"
            why = f"  NOT DONE: {one.failed}" if one.failed else ""
            told.append(f"  {one.at:6.1f} s  {one.fault}: {one.detail}, {one.lasted:.1f} s; {gaps}{why}")
        told += [f"  not possible here: {name}" for name in self.left_out]
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.availability.items())
        told.append(f"answered at the first try: {shares}")
        told.append("no violation" if not self.violations else f"{len(self.violations)} VIOLATIONS")
        told += [f"  {line}" for line in self.violations[:SHOWN]]
        return told

    def gaps(self) -> dict[str, float]:
        """Gives the longest time without a confirmed order for each fault."""
        found: dict[str, float] = defaultdict(float)
        for one in self.faults:
            found[one.fault] = max(found[one.fault], one.orders_gap)
        return dict(found)


def report_of(seed: int, seconds: float, history: History, nemesis: Nemesis, found: Sequence[str]) -> Report:
    """Makes the report of a run."""
    return Report(
        seed,
        seconds,
        _struck(history, nemesis.injected),
        sorted(nemesis.left_out),
        len(history.operations),
        history.outcomes(),
        history.availability(),
        list(found),
    )


def _struck(history: History, injected: Sequence[Injected]) -> list[Struck]:
    orders, reads = history.confirmed_at(), history.read_at()
    ends = [one.began for one in injected[1:]] + [max([*orders, *reads], default=0.0)]
    return [
        Struck(
            one.name,
            one.detail,
            one.began - history.began,
            one.healed - one.began,
            longest_gap(orders, one.began, max(one.healed, end)),
            longest_gap(reads, one.began, max(one.healed, end)),
            one.failed,
        )
        for one, end in zip(injected, ends, strict=True)
    ]
