"""Routes of a service with a canary: which of both releases takes a call, and how it is known afterwards.

A request stays in the release that it has met: it carries the releases so far, which come first. Then come the headers
of testers, and at last the share of the canary. Each answer says which release has given it. Tries are observed: they
carry a header for which sidecars log them, so that routes alone change when a canary begins or ends.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from souk.mesh.envoy.clusters import version_name
from souk.mesh.envoy.parts import Part
from souk.mesh.policy.policy import CanarySplit
from souk.rpc.metadata import RELEASE, TESTER
from souk.rpc.sidecar import SERVED_BY

OBSERVED = "souk-canary"
"""The header of calls that are observed; its value is the version of the canary."""
_WHOLE = 10_000
"""The sum of the weights: shares are exact to a hundredth of a percent."""


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """Where calls with all of `headers` go (`action`), and what else their route has."""

    action: Part
    headers: Sequence[Part] = ()
    route: Part = field(default_factory=dict)


def release_targets(service: str, canary: CanarySplit, baseline: str, *, copied: bool) -> Iterator[RouteTarget]:
    """Gives the targets of the calls of one method, the first that fits counts.

    `baseline` is the cluster of all other instances, and `copied` says that the method has no side effects.
    """
    version = version_name(service, canary.version)
    yield _target(service, canary, version, canary.version, [_pinned(service, re.escape(canary.version))])
    yield _target(service, canary, baseline, "", [_pinned(service, "[^,]*")])
    for name, value in canary.headers:
        yield _target(service, canary, version, canary.version, [{"name": name, "string_match": {"exact": value}}])
        if name == TESTER:
            yield _target(service, canary, version, canary.version, [_pinned(TESTER, re.escape(value))])
    weight = round(canary.percent / 100 * _WHOLE)
    if weight == _WHOLE:
        yield _target(service, canary, version, canary.version)
    elif weight:
        shares = ((baseline, "", _WHOLE - weight), (version, canary.version, weight))
        clusters = [
            {"name": cluster, "weight": share, "response_headers_to_add": [_served_by(service, release)]}
            for cluster, release, share in shares
        ]
        yield RouteTarget({"weighted_clusters": {"clusters": clusters}}, route=_observed(canary))
    else:
        mirror = {"request_mirror_policies": [{"cluster": version}]} if canary.mirrored and copied else {}
        yield _target(service, canary, baseline, "", **mirror)


def _target(
    service: str, canary: CanarySplit, cluster: str, release: str, headers: Sequence[Part] = (), **action: Any
) -> RouteTarget:
    route = {**_observed(canary), "response_headers_to_add": [_served_by(service, release)]}
    return RouteTarget({"cluster": cluster, **action}, headers, route)


def _pinned(service: str, version: str) -> Part:
    """Matches calls of a request that has met a version of the service, given as a regular expression; or, of TESTER,
    that has this mark."""
    pair = f"(.*,)?{re.escape(service)}={version}(,.*)?"
    return {"name": RELEASE, "string_match": {"safe_regex": {"regex": pair}}}


def _observed(canary: CanarySplit) -> dict[str, Any]:
    return {"request_headers_to_add": [_header(OBSERVED, canary.version)]}


def _served_by(service: str, release: str) -> Part:
    return _header(SERVED_BY, f"{service}={release}")


def _header(key: str, value: str) -> Part:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
