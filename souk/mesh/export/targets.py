"""Which features of a policy each target can say, and with which fields; and what it cannot, and why.

What is refused, and the table in docs/mesh.md, both come from here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from souk.mesh.export.features import Feature, Use, used
from souk.mesh.policy.policy import Ejection, MeshPolicy, MethodRules, RetryOn, ServiceRules, TryRules

_NAMED = 3
"""So many services or methods are named when a feature is refused; the rest is counted."""


class MeshTarget(Enum):
    """What a policy is exported to."""

    ISTIO = "istio"
    LINKERD = "linkerd"
    GATEWAY_API = "gateway-api"


@dataclass(frozen=True, slots=True)
class Supported:
    """The target says the feature by the fields `by`; `only` names what of it, for people.

    `refuses` gives the reason why the target cannot say a value, and nothing if it can.
    """

    by: str
    only: str = ""
    refuses: Callable[[Any], str] = lambda value: ""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The target cannot say the feature. `instead` is what to write in the policy file if it is not needed."""

    why: str
    instead: str


@dataclass(frozen=True, slots=True)
class RefusedFeature:
    """A feature that a policy uses and a target cannot say: where, why, and what to do."""

    feature: Feature
    where: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        named = ", ".join(self.where[:_NAMED])
        more = len(self.where) - _NAMED
        return f"{self.feature.value} ({named}{f' and {more} more' if more > 0 else ''}): {self.why}"


_ENVOYS = {
    RetryOn.NOT_SENT: "connect-failure,refused-stream",
    RetryOn.LOST: "reset",
    RetryOn.UNAVAILABLE: "unavailable",
    RetryOn.DEADLINE_EXCEEDED: "deadline-exceeded",
    RetryOn.RESOURCE_EXHAUSTED: "resource-exhausted",
    RetryOn.INTERNAL: "internal",
}
ISTIO_CONDITIONS: Mapping[RetryOn, str] = _ENVOYS
LINKERD_CONDITIONS: Mapping[RetryOn, str] = {
    one: _ENVOYS[one]
    for one in (RetryOn.UNAVAILABLE, RetryOn.DEADLINE_EXCEEDED, RetryOn.RESOURCE_EXHAUSTED, RetryOn.INTERNAL)
}
_LONGEST_OF_ENVOY = 300.0
_GROWTH_OF_ENVOY = 10


def _conditions(known: Mapping[RetryOn, str]) -> Callable[[TryRules], str]:
    def refuses(tries: TryRules) -> str:
        unknown = sorted(one.value for one in tries.on - known.keys())
        listed = ", ".join(one.value for one in RetryOn if one in known)
        return f"it cannot name {', '.join(unknown)}; write `on: [{listed}]`, or fewer" if unknown else ""

    return refuses


def _istio_backoff(tries: TryRules) -> str:
    if tries.backoff is None or tries.longest_wait <= min(tries.backoff.cap, _GROWTH_OF_ENVOY * tries.backoff.initial):
        return ""
    return f"waits grow up to {_GROWTH_OF_ENVOY} times the first one, and these attempts reach another longest wait"


def _istio_longest(ejection: Ejection) -> str:
    if ejection.longest == _LONGEST_OF_ENVOY:
        return ""
    return f"the longest ejection is always {_LONGEST_OF_ENVOY:g}s; write `longest: {_LONGEST_OF_ENVOY:g}s`"


def _whole_percents(ejection: Ejection) -> str:
    return "" if round(ejection.most * 100, 4).is_integer() else "it takes whole percents"


def _istio_faults(rules: MethodRules) -> str:
    if rules.timeout is None and rules.tries is None:
        return ""
    return "it switches time-outs and tries off where it injects faults; write `timeout: none` and `tries: none` there"


def _istio_locality(rules: ServiceRules) -> str:
    return "" if rules.ejection is not None else "it needs ejection to know which instances of the zone are well"


def _all_ejected(ejection: Ejection) -> str:
    return "" if ejection.most == 1.0 else "it has no share that must stay; write `most: 100%`"


_NO_LIMITS = Unsupported("it does not limit what is under way", "limits: none")
_NO_FAULTS = Unsupported("it injects none", "faults: none")

SUPPORT: Mapping[MeshTarget, Mapping[Feature, Supported | Unsupported]] = {
    MeshTarget.ISTIO: {
        Feature.WHO_MAY_CALL: Supported("AuthorizationPolicy, by method and identity; PeerAuthentication STRICT"),
        Feature.TIMEOUT: Supported("VirtualService `timeout`"),
        Feature.TRY_TIMEOUT: Supported("`retries.perTryTimeout`, or `timeout` where there is one try"),
        Feature.TRIES: Supported("`retries.attempts`"),
        Feature.ON: Supported("`retries.retryOn`", "without aborted and unknown", _conditions(ISTIO_CONDITIONS)),
        Feature.BACKOFF: Supported("`retries.backoff`", "for waits up to 10 times the first", _istio_backoff),
        Feature.BUDGET: Supported("DestinationRule `retryBudget`"),
        Feature.EJECTION: Supported("`outlierDetection`"),
        Feature.LONGEST: Supported("nothing: it is always 300s", "300s", _istio_longest),
        Feature.MOST: Supported("`outlierDetection.maxEjectionPercent`", "in whole percents", _whole_percents),
        Feature.CONNECTIONS: Supported("`connectionPool.tcp.maxConnections`"),
        Feature.REQUESTS: Supported("`connectionPool.http.http2MaxRequests`"),
        Feature.PENDING: Supported("`connectionPool.http.http1MaxPendingRequests`"),
        Feature.OWN_LIMITS: Supported("a subset of its own"),
        Feature.WEIGHTS: Supported("`route.weight` of subsets"),
        Feature.HEADERS: Supported("`match.headers`"),
        Feature.MIRROR: Supported("`mirrors`"),
        Feature.DELAY: Supported("`fault.delay`", "without timeout and tries", _istio_faults),
        Feature.ABORT: Supported("`fault.abort`", "without timeout and tries", _istio_faults),
        Feature.LOCALITY: Supported("`localityLbSetting`", "with ejection", _istio_locality),
        Feature.ENOUGH: Unsupported("how many of a zone are enough is Envoy's own rule", "locality: {prefer: zone}"),
    },
    MeshTarget.LINKERD: {
        Feature.WHO_MAY_CALL: Supported("AuthorizationPolicy of a GRPCRoute, MeshTLSAuthentication"),
        Feature.TIMEOUT: Supported("`timeout.linkerd.io/request`"),
        Feature.TRY_TIMEOUT: Supported("`retry.linkerd.io/timeout`, or the request's where there is one try"),
        Feature.TRIES: Supported("`retry.linkerd.io/limit`"),
        Feature.ON: Supported(
            "`retry.linkerd.io/grpc`", "statuses, without aborted and unknown", _conditions(LINKERD_CONDITIONS)
        ),
        Feature.BACKOFF: Unsupported("it tries again at once", "tries: {backoff: none}"),
        Feature.BUDGET: Unsupported("retries of routes have no budget", "tries: {budget: none}"),
        Feature.EJECTION: Supported("`balancer.linkerd.io/failure-accrual`"),
        Feature.LONGEST: Supported("`failure-accrual-consecutive-max-penalty`"),
        Feature.MOST: Supported("nothing: all may be ejected", "100%", _all_ejected),
        Feature.CONNECTIONS: _NO_LIMITS,
        Feature.REQUESTS: _NO_LIMITS,
        Feature.PENDING: _NO_LIMITS,
        Feature.OWN_LIMITS: _NO_LIMITS,
        Feature.WEIGHTS: Supported("`backendRefs.weight` of Services"),
        Feature.HEADERS: Supported("`matches.headers`"),
        Feature.MIRROR: Unsupported("it does not copy requests", "mirror: none"),
        Feature.DELAY: _NO_FAULTS,
        Feature.ABORT: _NO_FAULTS,
        Feature.LOCALITY: Unsupported(
            "zones are preferred as the Service says, not a route or a policy", "locality: none"
        ),
        Feature.ENOUGH: Unsupported(
            "zones are preferred as the Service says, not a route or a policy", "locality: none"
        ),
    },
    MeshTarget.GATEWAY_API: {
        Feature.WHO_MAY_CALL: Supported("NetworkPolicy, by service; methods are checked by the service itself"),
        Feature.TIMEOUT: Supported("HTTPRoute `timeouts.request`"),
        Feature.TRY_TIMEOUT: Supported("HTTPRoute `timeouts.backendRequest`"),
        Feature.TRIES: Unsupported(
            "HTTPRoute tries again by HTTP status, and a call of gRPC always has 200", "tries: none"
        ),
        Feature.ON: Unsupported("statuses of gRPC cannot be named", "tries: none"),
        Feature.BACKOFF: Unsupported("there are no tries", "tries: none"),
        Feature.BUDGET: Unsupported("there are no tries", "tries: none"),
        Feature.EJECTION: Unsupported("no resource has it", "ejection: none"),
        Feature.LONGEST: Unsupported("no resource has it", "ejection: none"),
        Feature.MOST: Unsupported("no resource has it", "ejection: none"),
        Feature.CONNECTIONS: Unsupported("no resource has it", "limits: none"),
        Feature.REQUESTS: Unsupported("no resource has it", "limits: none"),
        Feature.PENDING: Unsupported("no resource has it", "limits: none"),
        Feature.OWN_LIMITS: Unsupported("no resource has it", "limits: none"),
        Feature.WEIGHTS: Supported("`backendRefs.weight` of Services"),
        Feature.HEADERS: Supported("`matches.headers`"),
        Feature.MIRROR: Supported("`RequestMirror`"),
        Feature.DELAY: Unsupported("no resource has it", "faults: none"),
        Feature.ABORT: Unsupported("no resource has it", "faults: none"),
        Feature.LOCALITY: Unsupported("no route or policy has it", "locality: none"),
        Feature.ENOUGH: Unsupported("no route or policy has it", "locality: none"),
    },
}
"""How each target says each feature."""


def refusals(policy: MeshPolicy, target: MeshTarget) -> list[RefusedFeature]:
    """Returns what a policy uses and the target cannot say; the same reason for several methods is one refusal."""
    found: dict[tuple[Feature, str], list[str]] = {}
    for use in used(policy):
        if why := _why(use, target):
            found.setdefault((use.feature, why), []).append(use.where)
    return [RefusedFeature(feature, tuple(where), why) for (feature, why), where in found.items()]


def _why(use: Use, target: MeshTarget) -> str:
    support = SUPPORT[target][use.feature]
    if isinstance(support, Unsupported):
        return f"{support.why}; write `{support.instead}` if it is not needed"
    return support.refuses(use.value)


def table() -> Iterator[str]:
    """Gives the lines of the table of docs/mesh.md: what each target says, and by what."""
    yield f"| | {' | '.join(target.value for target in MeshTarget)} |"
    yield f"|---|{'---|' * len(MeshTarget)}"
    for feature in Feature:
        cells = (_cell(SUPPORT[target][feature]) for target in MeshTarget)
        yield f"| {feature.value} | {' | '.join(cells)} |"


def _cell(support: Supported | Unsupported) -> str:
    if isinstance(support, Unsupported):
        return f"refused: {support.why}"
    return f"{support.by}; only {support.only}" if support.only else support.by
