"""The compiled matcher against a naive reference, which sorts every candidate."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.matching.hosts import HostIndex
from souk.gateway.routing.model import HttpRoute, Match, PathMatch, PathType, RoutesFile, Rule, ValueMatch
from souk.gateway.routing.table import ContractRoute, RoutingTable
from tests.properties import examples

SEGMENTS = st.sampled_from(["a", "b", "ab", "a.b", "x"])
PATHS = st.lists(SEGMENTS, min_size=0, max_size=4).map(lambda parts: "/" + "/".join(parts))
VALUES = st.sampled_from(["1", "2"])
NAMES = st.sampled_from(["p", "q", "r"])
METHODS = st.sampled_from(["GET", "POST", "HEAD"])
HOSTS = st.sampled_from(["a.com", "b.a.com", "c.b.a.com", "*.a.com", "*.b.a.com", "*.com"])


@st.composite
def path_matches(draw: Any) -> PathMatch:
    kind = draw(st.sampled_from(PathType))
    path = draw(PATHS)
    if kind is PathType.TEMPLATE:
        segments = [draw(st.sampled_from([one, f"{{v{n}}}"])) for n, one in enumerate(path[1:].split("/"))]
        return PathMatch(kind, "/" + "/".join(segments))
    if kind is PathType.REGEX:
        text = draw(st.sampled_from(["/.*", "/a.*", "/(a|b)/.+", "/a/b", ".*b"]))
        return PathMatch(kind, text, re.compile(text))
    slash = draw(st.sampled_from(["", "/"])) if kind is PathType.PREFIX and path != "/" else ""
    return PathMatch(kind, path + slash)


def value_matches() -> st.SearchStrategy[tuple[ValueMatch, ...]]:
    one = st.builds(lambda name, value: ValueMatch(name, value), NAMES, VALUES)
    pattern = st.builds(lambda name: ValueMatch(name, "[12]", re.compile("[12]")), NAMES)
    unique = st.lists(one | pattern, max_size=3, unique_by=lambda match: match.name)
    return unique.map(tuple)


MATCHES = st.builds(Match, path_matches(), METHODS | st.just(""), value_matches(), value_matches())
RULES = st.builds(lambda matches: Rule("rule", tuple(matches)), st.lists(MATCHES, min_size=1, max_size=3))
ROUTES = st.builds(
    lambda hosts, rules: HttpRoute("route", tuple(hosts), tuple(rules)),
    st.lists(HOSTS, max_size=2, unique=True),
    st.lists(RULES, min_size=1, max_size=3),
)
FILES = st.builds(lambda routes: RoutesFile("f", tuple(routes)), st.lists(ROUTES, min_size=1, max_size=4))


@st.composite
def requests(draw: Any) -> Asked:
    path = draw(PATHS) + draw(st.sampled_from(["", "", "/"]))
    host = draw(st.sampled_from(["a.com", "b.a.com", "c.b.a.com", "d.c.b.a.com", "other.com", "org", ""]))
    pairs = draw(st.dictionaries(NAMES, VALUES))
    query = "&".join(f"{k}={v}" for k, v in draw(st.dictionaries(NAMES, VALUES)).items())
    headers = [(b"host", f"{host}:80".encode()), *((k.encode(), v.encode()) for k, v in pairs.items())]
    return Asked(draw(METHODS), path, query.encode(), headers)


def naive(file: RoutesFile, asked: Asked) -> tuple[Any, ...] | None:
    """Every match that fits, sorted by the text of the standard."""
    rules = [(route, rule) for route in file.routes for rule in route.rules]
    matches = enumerate([(route, rule, match) for route, rule in rules for match in rule.matches])
    found = [
        (key(host, match, order), match, rule, host)
        for order, (route, rule, match) in matches
        for host in route.hostnames or ("",)
        if host_fits(host, asked.host) and fits(match, asked)
    ]
    return min(found, key=lambda one: one[0]) if found else None


def host_fits(hostname: str, host: str) -> bool:
    if hostname.startswith("*."):
        return host.endswith(hostname[1:]) and len(host) > len(hostname) - 1
    return hostname in ("", host)


def fits(match: Match, asked: Asked) -> bool:
    return (
        path_fits(match.path, asked.path)
        and match.method in ("", asked.method)
        and all(one.fits(asked.header(one.name)) for one in match.headers)
        and all(one.fits(asked.parameter(one.name)) for one in match.query)
    )


def path_fits(wanted: PathMatch, path: str) -> bool:
    if wanted.type is PathType.EXACT:
        return path == wanted.value
    if wanted.type is PathType.REGEX:
        assert wanted.pattern is not None
        return wanted.pattern.fullmatch(path) is not None
    ours, theirs = wanted.value.split("/"), path.split("/")
    if wanted.type is PathType.PREFIX:
        ours = wanted.value.rstrip("/").split("/")
        return theirs[: len(ours)] == ours
    return len(ours) == len(theirs) and all(
        mine == other or (mine.startswith("{") and other) for mine, other in zip(ours, theirs, strict=True)
    )


def key(host: str, match: Match, order: int) -> tuple[Any, ...]:
    exact_host = len(host) if not host.startswith("*") else 0
    kinds = [PathType.EXACT, PathType.TEMPLATE, PathType.REGEX, PathType.PREFIX]
    shape = tuple(one.startswith("{") for one in match.path.value.split("/"))
    length = len(match.path.value) if match.path.type in (PathType.REGEX, PathType.PREFIX) else 0
    return (
        -exact_host,
        -len(host),
        kinds.index(match.path.type),
        shape if match.path.type is PathType.TEMPLATE else (),
        -length,
        not match.method,
        -len(match.headers),
        -len(match.query),
        order,
    )


@settings(max_examples=examples(500))
@given(FILES, requests())
def test_the_index_finds_what_sorting_all_candidates_finds(file: RoutesFile, asked: Asked) -> None:
    index: HostIndex[int] = HostIndex(file, lambda route, rule: 0)
    found, expected = index.find(asked), naive(file, asked)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.match, found.hostname) == (expected[1], expected[3])
        assert found.rule is expected[2]


CONTRACT_PATHS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).map(lambda p: "/" + "/".join(p))


@settings(max_examples=examples(300))
@given(FILES, requests(), CONTRACT_PATHS)
def test_a_contract_route_takes_its_place_in_the_order(file: RoutesFile, asked: Asked, path: str) -> None:
    """A contract's route is ordered as an exact or a template match of a method for every host."""
    kind = PathType.TEMPLATE if "*" in path else PathType.EXACT
    template = path.replace("*", "{v}")
    contract = Match(PathMatch(kind, template), "GET" if asked.method in ("GET", "HEAD") else asked.method)
    shape = [one.startswith("{") for one in template.split("/")]
    free = all(
        [one.startswith("{") for one in match.path.value.split("/")] != shape
        for route in file.routes
        for rule in route.rules
        for match in rule.matches
        if match.path.type in (PathType.EXACT, PathType.TEMPLATE)
    )
    if not free or not path_fits(contract.path, asked.path):
        return
    table: RoutingTable[int] = RoutingTable(file, [ContractRoute(contract.method, path)], (), lambda route, rule: 0)
    expected = naive(file, asked)
    wins = expected is not None and expected[0] < key("", contract, 0)
    assert (table.find(asked, path) is not None) == wins
