"""Tallies of the releases of services, from the tries that sidecars report.

What is kept is bounded: only services with a canary are counted, and of each the last few versions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from souk.descriptors.contract import Method
from souk.mesh.canary.observations.tries import ReportedTry, failed_by_contract, read_try
from souk.mesh.canary.tally import Tally
from souk.mesh.envoy.clusters import version_name
from souk.mesh.policy.methods import methods_of
from souk.mesh.policy.policy import ServiceRules
from souk.runtime.service import Service

BASELINE = ""
"""The version under which all instances are counted that are not of the canary."""
MOST_VERSIONS = 16
"""Versions of a service that are kept; the one whose counting began first is forgotten for another."""
LONGEST = 3_600.0
"""Seconds that a try counts as at most."""

RulesOf = Callable[[str], ServiceRules]
"""Gives the rules of a service, with its canary."""


class ReleaseTallies:
    """Counts tries by service and version; a `CanaryObservations`."""

    def __init__(self, services: Sequence[Service], rules: RulesOf) -> None:
        self._contracted = {one.name: methods_of(one) for one in services}
        self._rules = rules
        self._tallies: dict[str, dict[str, Tally]] = {}

    def tallies(self, service: str) -> Mapping[str, Tally]:
        """Gives what was counted since this process began, by version; the baseline's is BASELINE."""
        return dict(self._tallies.get(service, {}))

    def report(self, entries: Iterable[Any]) -> None:
        """Counts the tries that a sidecar has reported, as HTTPAccessLogEntries."""
        known: dict[str, ServiceRules] = {}
        for entry in entries:
            one = read_try(entry)
            service = one.cluster.partition("@")[0].partition("/")[0]
            if (method := self._contracted.get(service, {}).get(one.path)) is not None:
                if service not in known:
                    known[service] = self._rules(service)
                self._count(service, known[service], one, method)

    def _count(self, service: str, rules: ServiceRules, one: ReportedTry, method: Method) -> None:
        if rules.canary is None or one.canary != rules.canary.version:
            return
        limit = method.policy.try_timeout
        if (own := rules.methods[method.full_name].try_timeout) is not None:
            limit = min(limit, own)
        counts = failed_by_contract(one, method, limit)
        if counts is not None:
            version = one.canary if one.cluster == version_name(service, one.canary) else BASELINE
            self._tally(service, version).add(counts, min(one.seconds, LONGEST))

    def _tally(self, service: str, version: str) -> Tally:
        versions = self._tallies.setdefault(service, {})
        if version not in versions:
            if len(versions) >= MOST_VERSIONS:
                del versions[next(one for one in versions if one != BASELINE)]
            versions[version] = Tally()
        return versions[version]
