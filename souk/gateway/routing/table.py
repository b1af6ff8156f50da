"""The routes of a file beside those of contracts.

HTTPRoute's precedence holds for both: a contract's route has no hostname, a method, and an exact path or a template.
So a rule for a hostname comes before contracts, and for every host an exact path comes before a template, and both
before regular expressions and prefixes. At the very place of a contract's route a file is refused, unless the rule
says `replacesContract: true`. The gateway's own paths (`/healthz` and others, `/console` with all below it) belong to
no rule; `/` does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from souk.descriptors.path_template import ONE, REST, Template
from souk.gateway.http.routes import ANY_METHOD
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.matching.hosts import HostIndex
from souk.gateway.routing.matching.paths import RouteCandidate
from souk.gateway.routing.model import Finding, HttpRoute, Match, PathType, RoutesFile, RoutesFileRefused, Rule
from souk.gateway.settings import CONSOLE_PATH

T = TypeVar("T")
Shape = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class ContractRoute:
    """A route of a contract: its method, and its path with `{variables}`."""

    method: str
    path: str


class RoutingTable(Generic[T]):
    """The rules of a file, compiled, beside `contracts`. `own` are the paths that the gateway itself answers.

    `target` makes what a rule leads to. Raises RoutesFileRefused for a rule at the place of a contract's route.
    """

    def __init__(
        self,
        file: RoutesFile,
        contracts: Iterable[ContractRoute],
        own: Iterable[str],
        target: Callable[[HttpRoute, Rule], T],
    ) -> None:
        known = tuple(contracts)
        self.file, self.own, self.contracts = file, frozenset(own) - {"/"}, known
        findings = list(_conflicts(file, known, self.own))
        if findings:
            raise RoutesFileRefused(file.path, findings)
        self.index: HostIndex[T] = HostIndex(file, target)
        self._yields = _yields(self.index, known)

    def find(self, asked: Asked, contract: str | None) -> RouteCandidate[T] | None:
        """Gives the candidate that wins; None when the contract's route does, or when no rule matches.

        `contract` is the path of the contract's route for this request, if there is one.
        """
        if asked.path in self.own:
            return None
        named = self.index.find_named(asked)
        if named is not None:
            return named
        found = self.index.every.find(asked)
        return found if found is None or contract is None or self.precedes(found, contract) else None

    def precedes(self, candidate: RouteCandidate[T], contract: str) -> bool:
        """Whether a candidate comes before a contract's route that matches the same request."""
        if candidate.hostname or candidate.match.path.type is PathType.EXACT:
            return True
        if candidate.match.path.type is not PathType.TEMPLATE:
            return False
        return contract not in self._yields.get(candidate.match.path.value, frozenset())


def _conflicts(file: RoutesFile, contracts: Iterable[ContractRoute], own: frozenset[str]) -> Iterator[Finding]:
    by_shape: dict[Shape, list[ContractRoute]] = {}
    for one in contracts:
        by_shape.setdefault(_shape(one.path), []).append(one)
    for rule in (rule for route in file.routes for rule in route.rules):
        taken = [(match, one) for match in rule.matches for one in _taken(match, by_shape)]
        for match in rule.matches:
            if _is_own(match, own):
                yield Finding(match.line, match.column, f"{match.path.value} is a path of the gateway itself")
        if rule.replaces_contract and not taken:
            yield Finding(rule.line, 1, "replacesContract: no contract has a route here; leave it out")
        for match, one in taken if not rule.replaces_contract else ():
            what = f"{one.method} {one.path} is the route of a contract"
            remedy = "choose another path, or put `replacesContract: true` in this rule"
            yield Finding(match.line, match.column, f"{what}; {remedy}")


def _is_own(match: Match, own: frozenset[str]) -> bool:
    """Tells whether a match is at a path of the gateway itself, or below that of the console."""
    if match.path.type is PathType.REGEX:
        return False
    below = match.path.value == CONSOLE_PATH or match.path.value.startswith(f"{CONSOLE_PATH}/")
    return below or (match.path.type is PathType.EXACT and match.path.value in own)


def _taken(match: Match, by_shape: Mapping[Shape, list[ContractRoute]]) -> list[ContractRoute]:
    if match.path.type not in (PathType.EXACT, PathType.TEMPLATE):
        return []
    method = "GET" if match.method == "HEAD" else match.method
    found = by_shape.get(_shape_of(match), ())
    return [one for one in found if method in ("", one.method) or one.method == ANY_METHOD]


def _shape(path: str) -> Shape:
    """Gives a contract's path as its segments, in which wildcards have no name, and its custom verb."""
    template = Template.parse(path)
    return template.segments, template.verb


def _shape_of(match: Match) -> Shape:
    *segments, last = match.path.value[1:].split("/")
    last, _, verb = (last, "", "") if last.startswith("{") else last.partition(":")
    return tuple(ONE if one.startswith("{") else one for one in (*segments, last)), verb


def _yields(index: HostIndex[T], contracts: Iterable[ContractRoute]) -> dict[str, frozenset[str]]:
    """Gives for each template the paths of contracts that come before it."""
    ranks = {one.path: _ranks(_shape(one.path)[0]) for one in contracts}
    templates = {one.match.path.value: one.match for one in index if one.match.path.type is PathType.TEMPLATE}
    return {
        value: frozenset(path for path, rank in ranks.items() if rank < _ranks(_shape_of(match)[0]))
        for value, match in templates.items()
    }


def _ranks(segments: Iterable[str]) -> list[int]:
    """Gives the order of templates: at the first segment in which they differ a literal comes before a wildcard."""
    return [(ONE, REST).index(one) + 1 if one in (ONE, REST) else 0 for one in segments]
