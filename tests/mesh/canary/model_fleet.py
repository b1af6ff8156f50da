"""A fleet without processes: what is asked of it outlives the control plane that asks, and it may die at any point."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from souk.kernel.errors import ConfigurationError, SoukError
from souk.mesh.canary.judging.rules import parse_rule
from souk.mesh.canary.ports import VersionReadiness
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.mesh.canary.steering.plan import CanaryPlan
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.store import CanaryStore
from souk.mesh.canary.tally import Tally


class Killed(BaseException):
    """The process of the control plane has died."""


@dataclass
class ModelFleet:
    """The services and sidecars of a fleet. `share` is that of the version, None before it has any."""

    running: bool = False
    share: CanaryShare | None = None
    adopted: bool = False
    crashed: str = ""
    ready: int = 1
    raised: tuple[str, ...] = ()
    failing: float = 0.0
    calls: int = 1000
    unreachable: bool = False
    done: list[str] = field(default_factory=list)
    check: Callable[[str], None] = lambda effect: None
    die_at: int | None = None
    points: int = 0
    counted: dict[str, Tally] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def point(self) -> None:
        """A moment at which the process may die."""
        self.points += 1
        if self.points == self.die_at:
            raise Killed

    def _effect(self, name: str) -> None:
        self.point()
        self.check(name)
        self.done.append(name)

    def admit(self, release: CanaryRelease) -> None:
        if self.adopted and release.version == "v2":
            raise ConfigurationError("payment runs v2 already")

    def _ask_supervisor(self) -> None:
        if self.unreachable:
            raise SoukError("the supervisor does not answer")

    async def start(self, release: CanaryRelease) -> None:
        self._effect("start")
        self._ask_supervisor()
        self.running = True
        self.point()

    async def readiness(self, release: CanaryRelease) -> VersionReadiness:
        self._ask_supervisor()
        return VersionReadiness(self.ready if self.running and not self.crashed else 0, self.crashed)

    async def route(self, release: CanaryRelease, share: CanaryShare) -> None:
        self._effect("route")
        self.share = share
        self.point()

    def restore(self, release: CanaryRelease, share: CanaryShare) -> None:
        self.share = share

    async def adopt(self, release: CanaryRelease) -> None:
        self._effect("adopt")
        self._ask_supervisor()
        self.adopted = True
        self.point()
        self.share, self.running = None, False

    async def remove(self, release: CanaryRelease) -> None:
        self._effect("remove")
        self.share = None
        self.point()
        self._ask_supervisor()
        self.running = False

    def serve(self, seconds: float = 1.0) -> None:
        """Makes the calls of some seconds."""
        made = round(self.calls * seconds)
        percent = self.share.percent if self.share else 0.0
        canary = made // 10 if self.share and self.share.mirrored else round(made * percent / 100)
        baseline = made if self.share and self.share.mirrored else made - canary
        for version, calls, failing in (("v2", canary, self.failing), ("v1", baseline, 0.0)):
            tally = self.counted.setdefault(version, Tally())
            for _ in range(calls):
                tally.add(self.chance.random() < failing, 0.02)

    def tallies(self, service: str) -> Mapping[str, Tally]:
        return self.counted

    async def alarms(self) -> tuple[str, ...]:
        return self.raised


class ModelAlarms:
    """The alarms of a model fleet."""

    def __init__(self, fleet: ModelFleet) -> None:
        self._fleet = fleet

    async def raised(self, release: CanaryRelease, since: int) -> tuple[str, ...]:
        return self._fleet.raised


class ModelKeeper:
    """Keeps records in the file of a store; the process may die before the write and after it."""

    def __init__(self, store: CanaryStore, fleet: ModelFleet) -> None:
        self._store, self._fleet, self.full = store, fleet, False

    async def keep(self, record: CanaryRecord) -> None:
        self._fleet.point()
        if self.full:
            raise ConfigurationError("the disk is full")
        self._store.write([record])
        self._fleet.point()


def plan(*, mirrored: bool = False, steps: tuple[float, ...] = (10.0, 50.0, 100.0)) -> CanaryPlan:
    """Makes the plan of a canary of short steps."""
    release = CanaryRelease(service="payment", version="v2", settings={"COLOUR": "green"}, header=("x-tester", "1"))
    rules = (parse_rule("failures>1%"), parse_rule("p99>1.5x"))
    return CanaryPlan(release=release, steps=steps, every=3.0, rules=rules, mirrored=mirrored)
