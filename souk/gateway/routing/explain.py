"""Says which route takes a request, and why every other one that might have taken it did not."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from souk.gateway.http.routes import Router
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.matching.paths import RouteCandidate
from souk.gateway.routing.model import PathType
from souk.gateway.routing.table import ContractRoute, RoutingTable

_REASONS = (
    "its path is shorter",
    "it names no method",
    "it names fewer headers",
    "it names fewer query parameters",
    "it comes later in the file",
)
"""What it means to come after another candidate, by the place in `RouteCandidate.precedence` where they differ."""


@dataclass(slots=True)
class Explanation:
    """The winner, empty for none; the better ones that do not match; and those that match and come after it."""

    winner: str = ""
    better: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def explain(asked: Asked, table: RoutingTable[str], router: Router[ContractRoute]) -> Explanation:
    """Explains a request. The targets of `table` say where a rule leads."""
    leaf = found[0] if (found := router.find(asked.path)) else None
    contract = leaf.endpoint(asked.method) if leaf else None
    winner = table.find(asked, contract.path if contract else None)
    explanation = Explanation()
    if winner is not None:
        explanation.winner = _described(winner, table)
    elif contract is not None:
        explanation.winner = f"{contract.method} {contract.path}, of {_owner(contract, table)}"
    if leaf and contract is None and leaf.endpoints:
        path = next(iter(leaf.endpoints.values())).path
        explanation.better.append(f"{path} of {_owner(ContractRoute('', path), table)}: it takes {leaf.allow}")
    before = True
    for one in _in_order(asked, table):
        before = before and one is not winner
        reason = _host_reason(one, asked) or one.lacks(asked)
        if reason and before:
            explanation.better.append(f"{_described(one, table)}: {reason}")
        elif one is not winner and not reason:
            explanation.after.append(f"{_described(one, table)}: {_after(one, winner)}")
    if winner is not None and contract is not None:
        why = "a rule for a hostname comes before it" if winner.hostname else _contract_reason(winner)
        explanation.after.append(f"{contract.method} {contract.path}, of {_owner(contract, table)}: {why}")
    return explanation


def _in_order(asked: Asked, table: RoutingTable[str]) -> Iterator[RouteCandidate[str]]:
    """Gives every candidate whose path matches: first those for other hosts, then the rest, the best first."""
    known = {id(one) for one in _matching(asked, table)}
    for one in table.index:
        if (
            id(one) not in known
            and one.hostname
            and any(other is one for other in table.index.of(one.hostname).at(asked.path))
        ):
            yield one
    yield from _matching(asked, table)


def _matching(asked: Asked, table: RoutingTable[str]) -> Iterator[RouteCandidate[str]]:
    for index in (*table.index.named(asked.host), table.index.every):
        yield from index.at(asked.path)


def _host_reason(one: RouteCandidate[str], asked: Asked) -> str:
    host = one.hostname
    if (
        not host
        or host == asked.host
        or (host.startswith("*") and asked.host.endswith(host[1:]) and host[1:] != asked.host)
    ):
        return ""
    return f"the host is {asked.host or 'missing'}, not {host}"


def _described(one: RouteCandidate[str], table: RoutingTable[str]) -> str:
    host = f"{one.hostname}, " if one.hostname else ""
    # The route to an application that has joined is in no file.
    where = f"{table.file.path}:{one.match.line}" if one.match.line else one.rule.name
    return f"{where}: {host}{one.match} -> {one.target}"


def _owner(contract: ContractRoute, table: RoutingTable[str]) -> str:
    return "the gateway itself" if contract.path in table.own else "a contract"


def _contract_reason(winner: RouteCandidate[str]) -> str:
    if winner.rule.replaces_contract:
        return "the rule says replacesContract"
    return f"{winner.match.path.type.value} with a literal segment comes before a template"


def _after(one: RouteCandidate[str], winner: RouteCandidate[str] | None) -> str:
    """Says why a candidate that matches comes after the winner, which is None for a contract's route."""
    if winner is None:
        return "a contract's route has an exact path or a template, and comes before it"
    if one.hostname != winner.hostname:
        return "its hostname is less specific" if one.hostname else "it is for every hostname"
    mine, other = one.match, winner.match
    if mine.path.type is not other.path.type:
        return f"{other.path.type.value} comes before {mine.path.type.value}"
    if mine.path.value != other.path.value and mine.path.type is PathType.TEMPLATE:
        return "the other has a literal segment where this has a variable"
    for ours, theirs, what in zip(one.precedence, winner.precedence, _REASONS, strict=True):
        if ours != theirs:
            return what
    return "it is the same match"
