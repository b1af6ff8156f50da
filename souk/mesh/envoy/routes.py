"""Routes: what a sidecar does with each call of its application, by callee and method."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from souk.mesh.envoy.clusters import method_name, version_name
from souk.mesh.envoy.parts import Part, duration, fraction, typed
from souk.mesh.envoy.releases import RouteTarget, release_targets
from souk.mesh.policy.policy import MethodRules, RetryOn, ServiceRules, TryRules, VersionSplit
from souk.rpc.metadata import IDEMPOTENCY_KEY
from souk.rpc.sidecar import ATTEMPTS, FLAGS, SUBJECT
from souk.rpc.status import STATUS_KEY

OUTBOUND = "outbound"
"""The name of the routes of an application's own calls."""
FAULT_FILTER = "envoy.filters.http.fault"
NOT_AGAIN = "x-envoy-ratelimited"
"""A header of an answer after which Envoy makes no further try, whatever else its retry policy says."""
REFUSALS = f"""
function envoy_on_response(handle)
  if handle:headers():get("{STATUS_KEY}") then
    handle:headers():replace("{NOT_AGAIN}", "true")
  end
end
"""
"""Run by the callee's sidecar: an answer that says why it refuses is not tried again, whatever its status."""

_CONDITIONS: Mapping[RetryOn, tuple[str, ...]] = {
    RetryOn.NOT_SENT: ("connect-failure", "refused-stream"),
    RetryOn.LOST: ("reset",),
    RetryOn.UNAVAILABLE: ("unavailable",),
    RetryOn.DEADLINE_EXCEEDED: ("deadline-exceeded",),
    RetryOn.RESOURCE_EXHAUSTED: ("resource-exhausted",),
    RetryOn.INTERNAL: ("internal",),
}
_STATUSES = {RetryOn.ABORTED: "10", RetryOn.UNKNOWN: "2"}
"""Statuses for which Envoy has no word."""
_AT_ONCE = "0.001s"
_PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
}


@dataclass(frozen=True, slots=True)
class CalleeRoutes:
    """A service, its rules, and the paths of those of its methods that are idempotent: a call of any other one is tried
    again only if it carries an idempotency key.

    A canary gets calls if an instance of it is there, and copies of calls to the methods that may be `copied`.
    """

    service: str
    rules: ServiceRules
    idempotent: frozenset[str]
    copied: frozenset[str] = frozenset()
    has_canary: bool = False


def outbound_routes(callees: Iterable[CalleeRoutes], further: Iterable[Part] = ()) -> dict[str, Any]:
    """Makes the routes of an application's calls: a virtual host for each callee, by its name as `:authority`, and the
    `further` ones."""
    hosts = [_virtual_host(one) for one in sorted(callees, key=lambda callee: callee.service)]
    return {
        "name": OUTBOUND,
        "virtual_hosts": [*hosts, *further],
        # An answer that has the first two already is not the sidecar's own; the third is for sidecars alone.
        "response_headers_to_remove": [FLAGS, ATTEMPTS, NOT_AGAIN],
    }


def _virtual_host(callee: CalleeRoutes) -> Part:
    routes = [route for path, rules in callee.rules.methods.items() for route in _method(callee, path, rules)]
    other = {"match": {"prefix": "/"}, "route": {"cluster": callee.service, "timeout": duration(None)}}
    return {
        "name": callee.service,
        "domains": [callee.service],
        "routes": [*routes, other],
        "request_headers_to_remove": [SUBJECT],
    }


def _method(callee: CalleeRoutes, path: str, rules: MethodRules) -> Iterator[Part]:
    match: dict[str, Any] = {"path": path, "grpc": {}}
    action: dict[str, Any] = {
        "timeout": duration(rules.timeout),
        # The application's own deadline, where it is nearer.
        "max_stream_duration": {"grpc_timeout_header_max": duration(None)},
    }
    if rules.mirror is not None:
        mirrored = {"cluster": version_name(callee.service, rules.mirror.version)}
        share = {"default_value": fraction(rules.mirror.share)}
        action["request_mirror_policies"] = [{**mirrored, "runtime_fraction": share}]
    filters = _faults(rules)
    for target in _targets(callee, path, rules):
        base = {**match, "headers": target.headers} if target.headers else match
        for found, policy in _tried(base, rules, keyed=path not in callee.idempotent):
            yield {"match": found, "route": {**action, **target.action, **policy}, **target.route, **filters}


def _tried(match: Part, rules: MethodRules, *, keyed: bool) -> Iterator[tuple[Part, Part]]:
    """Gives the matches of a method with the retry policy of each."""
    if rules.tries is None:
        yield match, {}
        return
    policy = {"retry_policy": retry_policy(rules.tries, rules.try_timeout)}
    if keyed:
        yield (
            {**match, "headers": [*match.get("headers", ()), {"name": IDEMPOTENCY_KEY, "present_match": True}]},
            policy,
        )
        yield match, {}
    else:
        yield match, policy


def _targets(callee: CalleeRoutes, path: str, rules: MethodRules) -> Iterator[RouteTarget]:
    """Gives where calls go, by the headers that they must have for it; at last where all others go."""
    service, split, canary = callee.service, rules.split or VersionSplit(), callee.rules.canary
    own = service if rules.limits is None else method_name(service, path)
    if canary is not None and canary.takes_calls and callee.has_canary:
        yield from release_targets(service, canary, own, copied=path in callee.copied)
        return
    for one in split.headers:
        wanted = {"name": one.name, "string_match": {"exact": one.value}}
        yield RouteTarget({"cluster": version_name(service, one.version)}, [wanted])
    if split.weights:
        weighted = [{"name": version_name(service, each), "weight": weight} for each, weight in split.weights.items()]
        yield RouteTarget({"weighted_clusters": {"clusters": weighted}})
    else:
        yield RouteTarget({"cluster": own})


def retry_policy(tries: TryRules, try_timeout: float | None) -> dict[str, Any]:
    """Makes the policy by which a route tries again."""
    conditions = [word for on in RetryOn if on in tries.on for word in _CONDITIONS.get(on, ())]
    statuses = [
        {"name": "grpc-status", "string_match": {"exact": code}} for on, code in _STATUSES.items() if on in tries.on
    ]
    if statuses:
        conditions.append("retriable-headers")
    wait = {"base_interval": _AT_ONCE, "max_interval": _AT_ONCE}
    if tries.backoff is not None:
        wait = {"base_interval": duration(tries.backoff.initial), "max_interval": duration(tries.backoff.cap)}
    return {
        "retry_on": ",".join(conditions),
        "retriable_headers": statuses,
        "num_retries": tries.attempts - 1,
        "per_try_timeout": duration(try_timeout),
        "retry_back_off": wait,
        "retry_host_predicate": [_PREVIOUS_HOSTS],
        "host_selection_retry_max_attempts": 3,
    }


def _faults(rules: MethodRules) -> dict[str, Any]:
    fault: dict[str, Any] = {}
    if rules.delay is not None:
        fault["delay"] = {"fixed_delay": duration(rules.delay.seconds), "percentage": fraction(rules.delay.share)}
    if rules.abort is not None:
        fault["abort"] = {"grpc_status": rules.abort.code.value[0], "percentage": fraction(rules.abort.share)}
    if not fault:
        return {}
    return {"typed_per_filter_config": {FAULT_FILTER: typed("extensions.filters.http.fault.v3.HTTPFault", **fault)}}
