"""What a mesh does with calls: frozen values, one set for each service and each method. Times are in seconds.

A share is a fraction from 0 to 1. What is None is not done: `tries` None means one try, `timeout` None means that only
the caller's deadline ends a call. Defaults are those of the layers inside a process (souk/resilience and
souk/runtime/config/resilience.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import grpc

from souk.resilience.backoff import Backoff
from souk.resilience.balancer import EjectionSettings
from souk.resilience.retry import RetrySettings
from souk.runtime.config.resilience import Protection

_RETRY, _EJECTION, _PROTECTION = RetrySettings(), EjectionSettings(), Protection()


class RetryOn(Enum):
    """How a try may end so that another follows."""

    NOT_SENT = "not-sent"
    """Nothing of it was sent: no connection, or the instance had refused the stream."""
    LOST = "lost"
    """The connection ended, or the time of the try was over, before the answer was there."""
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    ABORTED = "aborted"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TryBudget:
    """How many retries there may be: `share` of the calls, and `minimum` whatever the share.

    Layers inside a process count the minimum by the second; Envoy counts retries that are under way at once.
    """

    share: float = _RETRY.share
    minimum: int = round(_RETRY.per_second)


@dataclass(frozen=True, slots=True)
class TryRules:
    """When a call is tried again: after an end that is among `on`, up to `attempts` tries in all.

    Without a `backoff` the next try follows at once.
    """

    attempts: int = _RETRY.tries
    on: frozenset[RetryOn] = frozenset(RetryOn)
    backoff: Backoff | None = _RETRY.backoff

    @property
    def longest_wait(self) -> float:
        """The longest wait between two tries that these attempts reach, if there were no cap; 0 without any."""
        if self.backoff is None or self.attempts < 2:
            return 0.0
        return self.backoff.initial * self.backoff.factor ** (self.attempts - 2)


@dataclass(frozen=True, slots=True)
class Ejection:
    """When an instance gets no calls: after `failures` in a row, for `ejected_for`, longer each time up to `longest`.

    At most the share `most` of the instances is ejected at once.
    """

    failures: int = _EJECTION.failures
    ejected_for: float = _EJECTION.ejected_for.initial
    longest: float = _EJECTION.ejected_for.cap
    most: float = _EJECTION.most


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How much one process may have under way to a service: connections, calls that run, and calls that wait.

    None is no limit. The layers inside a process do not limit connections.
    """

    connections: int | None = None
    requests: int | None = _PROTECTION.running
    pending: int | None = _PROTECTION.waiting


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """Calls with this header, whose name is in lower case, go to `version`."""

    name: str
    value: str
    version: str


@dataclass(frozen=True, slots=True)
class VersionSplit:
    """Which version of a service takes a call: the first of `headers` that fits, and otherwise by `weights`.

    Weights add up to 100. Without weights, any instance takes what no header decides.
    """

    headers: tuple[HeaderRule, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> frozenset[str]:
        """The versions that it names."""
        return frozenset((*self.weights, *(one.version for one in self.headers)))


@dataclass(frozen=True, slots=True)
class MirroredCalls:
    """A share of the calls goes to `version` as well; its answers are thrown away."""

    version: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class CanarySplit:
    """A version of a service beside its baseline, which are all its other instances.

    `percent` of the calls go to `version`, and so do all with one of `headers`, each a name in lower case and a value.
    Without a share it can get copies of the calls that have no side effects, if it is `mirrored`. One that does not
    take calls gets none at all, also of requests that have met it before.
    """

    version: str
    percent: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    mirrored: bool = False
    takes_calls: bool = True


@dataclass(frozen=True, slots=True)
class DelayedCalls:
    """A share of the calls waits for `seconds` first."""

    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class AbortedCalls:
    """A share of the calls is not sent, and ends with a status."""

    share: float
    code: grpc.StatusCode


@dataclass(frozen=True, slots=True)
class Locality:
    """Instances in the caller's own zone are preferred while at least the share `enough` of them is not ejected.

    None leaves it to the mesh when there are too few.
    """

    enough: float | None = None


@dataclass(frozen=True, slots=True)
class MethodRules:
    """What is done with the calls of one method. `limits` are its own, if its contract isolates it."""

    timeout: float | None
    try_timeout: float | None
    tries: TryRules | None = None
    limits: CallLimits | None = None
    split: VersionSplit | None = None
    mirror: MirroredCalls | None = None
    delay: DelayedCalls | None = None
    abort: AbortedCalls | None = None


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What is done with the calls to one service: to all of them, and to those of each method, by its full name.

    The retries of all methods share one `budget`; without it every call may be tried again. A `canary` is no rule of a
    file: it comes and goes while the fleet runs.
    """

    methods: Mapping[str, MethodRules]
    budget: TryBudget | None = field(default_factory=TryBudget)
    ejection: Ejection | None = field(default_factory=Ejection)
    limits: CallLimits | None = field(default_factory=CallLimits)
    locality: Locality | None = None
    canary: CanarySplit | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions that its methods and its canary name, sorted."""
        found = set[str]() if self.canary is None else {self.canary.version}
        for rules in self.methods.values():
            found |= rules.split.versions if rules.split is not None else set()
            found |= {rules.mirror.version} if rules.mirror is not None else set()
        return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class MeshPolicy:
    """The rules of every service of a system, by its name."""

    services: Mapping[str, ServiceRules]
