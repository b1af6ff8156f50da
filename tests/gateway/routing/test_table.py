"""The routes of a file beside those of contracts, and the explanation of which wins."""

import pytest

from souk.gateway.http.problem import Problem
from souk.gateway.http.routes import Router
from souk.gateway.routing.explain import Explanation, explain
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.model import RoutesFileRefused
from souk.gateway.routing.reading.document import parse
from souk.gateway.routing.table import ContractRoute, RoutingTable

CONTRACTS = (
    ContractRoute("GET", "/orders"),
    ContractRoute("POST", "/orders"),
    ContractRoute("GET", "/orders/{id}"),
    ContractRoute("POST", "/orders/{id}:cancel"),
)
OWN = ("/", "/healthz")


def table(rules: str) -> RoutingTable[str]:
    return RoutingTable(parse(rules, "f.yaml"), CONTRACTS, OWN, lambda route, rule: rule.backends[0].upstream)


def explained(rules: str, method: str, path: str, *headers: tuple[bytes, bytes]) -> Explanation:
    router: Router[ContractRoute] = Router()
    for one in (*CONTRACTS, ContractRoute("GET", "/healthz")):
        router.add(one.method, one.path, one)
    raw, _, query = path.partition("?")
    return explain(Asked(method, raw, query.encode(), headers), table(rules), router)


@pytest.mark.parametrize(
    ("rules", "finding"),
    [
        ("{path: {type: Exact, value: /orders}}", "GET /orders is the route of a contract"),
        ("{path: '/orders/{other}', method: HEAD}", "GET /orders/{id} is the route of a contract"),
        ("{path: '/orders/{id}', method: GET, headers: {a: b}}", "GET /orders/{id} is the route of a contract"),
        ("{path: {type: Exact, value: /healthz}}", "/healthz is a path of the gateway itself"),
        ("{path: /console}", "/console is a path of the gateway itself"),
        ("{path: '/console/{page}'}", "/console/{page} is a path of the gateway itself"),
    ],
)
def test_a_rule_at_the_place_of_a_contract_is_refused_with_its_line(rules: str, finding: str) -> None:
    with pytest.raises(RoutesFileRefused) as refused:
        table(f"routes:\n- rules:\n  - matches: [{rules}]\n    backendRefs: [http://a:1]\n")
    assert str(refused.value).startswith(f"f.yaml:3:15: {finding}")


@pytest.mark.parametrize(
    ("rules", "request_", "winner"),
    [
        ("{path: /orders}", "GET /orders", "contract"),
        ("{path: /orders}", "GET /orders/1", "contract"),
        ("{path: /orders}", "GET /orders/1/lines", "file"),
        ("{path: /orders}", "DELETE /orders/1", "file"),
        ("{path: {type: Exact, value: /orders/new}}", "GET /orders/new", "file"),
        ("{path: '/{any}/1'}", "GET /orders/1", "contract"),
        ("{path: {type: RegularExpression, value: '/orders.*'}}", "GET /orders/1", "contract"),
        ("{path: /}", "GET /healthz", "contract"),
        ("{path: /}", "GET /", "file"),
        ("{path: {type: Exact, value: /orders}, method: PUT}", "PUT /orders", "file"),
    ],
)
def test_the_precedence_of_httproute_holds_for_both(rules: str, request_: str, winner: str) -> None:
    method, path = request_.split()
    text = f"routes:\n- rules:\n  - matches: [{rules}]\n    backendRefs: [http://a:1]\n"
    found = explained(text, method, path).winner
    assert found.startswith("f.yaml:3: " if winner == "file" else f"{method} /")


def test_a_rule_may_replace_a_contract_and_must_say_so() -> None:
    text = """
routes:
- rules:
  - matches: [{path: "/orders/{id}", headers: {canary: "1"}}]
    backendRefs: [http://a:1]
    replacesContract: true
"""
    assert explained(text, "GET", "/orders/1").winner.startswith("GET /orders/{id}")
    found = explained(text, "GET", "/orders/1", (b"canary", b"1"))
    assert found.winner.startswith("f.yaml:4")
    assert found.after == ["GET /orders/{id}, of a contract: the rule says replacesContract"]
    with pytest.raises(RoutesFileRefused, match=r"f.yaml:4:1: replacesContract: no contract has a route here"):
        table(text.replace("/orders/{id}", "/orders/{id}/lines"))


def test_a_rule_for_a_hostname_comes_before_contracts() -> None:
    text = "routes:\n- hostnames: ['*.a.com']\n  rules:\n  - backendRefs: [http://a:1]\n"
    found = explained(text, "GET", "/orders", (b"host", b"x.A.com:80"))
    assert found.winner.startswith("f.yaml:4: *.a.com, PathPrefix /")
    assert found.after == ["GET /orders, of a contract: a rule for a hostname comes before it"]
    found = explained(text, "GET", "/orders", (b"host", b"a.com"))
    assert found.winner == "GET /orders, of a contract"
    assert found.better == ["f.yaml:4: *.a.com, PathPrefix / -> http://a:1: the host is a.com, not *.a.com"]


def test_the_explanation_says_why_not() -> None:
    found = explained(
        """
routes:
- rules:
  - matches:
    - {path: {type: Exact, value: /a}, method: PUT}
    - {path: {type: Exact, value: /a}, headers: {v: "2"}}
    - {path: {type: Exact, value: /a}, queryParams: {q: "2"}}
    - {path: /a, method: GET, headers: {v: "1"}}
    - {path: /a, method: GET}
    - {path: /a, headers: {v: "1"}}
    - {path: /}
    backendRefs: [http://a:1]
""",
        "GET",
        "/a?q=1",
        (b"v", b"1"),
    )
    assert found.winner == "f.yaml:8: GET, PathPrefix /a, header v: 1 -> http://a:1"
    assert [one.rpartition(": ")[2] for one in found.better] == [
        "the method is GET, not PUT",
        "the header v is '1', not '2'",
        "the query parameter q is '1', not '2'",
    ]
    assert [one.rpartition(": ")[2] for one in found.after] == [
        "it names fewer headers",
        "it names no method",
        "its path is shorter",
    ]
    nothing = explained("routes: {/a: http://a:1}", "PUT", "/orders")
    assert nothing.winner == ""
    assert nothing.better == ["/orders of a contract: it takes GET, HEAD, OPTIONS, POST"]


@pytest.mark.parametrize("path", ["/%61dmin", "/admi%6E", "/admin"])
def test_a_path_is_matched_however_it_is_encoded(path: str) -> None:
    assert explained("routes: {/admin: http://a:1}", "GET", path).winner


@pytest.mark.parametrize("path", ["/a/../admin", "/a/%2e%2e/admin", "/./admin", "/a/.."])
def test_dot_segments_are_refused(path: str) -> None:
    with pytest.raises(Problem, match="dot segments"):
        explained("routes: {/admin: http://a:1}", "GET", path)
