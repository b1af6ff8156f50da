"""What a routes file may say, and how it is refused when it is wrong."""

# ruff: noqa: E501

from pathlib import Path

import pytest

from souk.descriptors.contract import Access, RateClass
from souk.gateway.routing.model import PathType, RetryPolicy, RoutesFileRefused, Timeouts, UpstreamLimits
from souk.gateway.routing.reading.document import load, parse
from souk.gateway.routing.reading.nodes import MOST_NODES

SHORT = """
routes:
  /auth: http://127.0.0.1:3001
  /orders: http://127.0.0.1:3002
  /payments: http://127.0.0.1:3003
"""
RULE = """
routes:
- rules:
  - matches: [{path: {type: Exact, value: /a}}]
    backendRefs: [http://a:1]
"""


def findings(text: str) -> list[str]:
    with pytest.raises(RoutesFileRefused) as refused:
        parse(text, "f.yaml")
    return str(refused.value).splitlines()


def rule(line: str) -> list[str]:
    """What is wrong with a rule that has this line too."""
    return findings(RULE.rstrip() + f"\n    {line}\n")


def test_three_lines_are_three_routes() -> None:
    file = parse(SHORT)
    rules = file.routes[0].rules
    assert [(one.matches[0].path.value, one.backends[0].upstream) for one in rules] == [
        ("/auth", "http://127.0.0.1:3001"),
        ("/orders", "http://127.0.0.1:3002"),
        ("/payments", "http://127.0.0.1:3003"),
    ]
    assert {one.matches[0].path.type for one in rules} == {PathType.PREFIX}
    assert [one.urls for one in file.upstreams] == [(one.backends[0].upstream,) for one in rules]


def test_the_full_form_has_everything() -> None:
    file = parse("""
upstreams:
  orders: [http://a:1, "http://b:2/"]
  legacy:
    service: legacy
    protocol: h2
    timeouts: {connect: 500ms, firstByte: 5s, idle: 1h, keepAlive: 20s}
    maxConnections: 7
    maxHead: 1024
    maxAnswer: 0
routes:
- name: shop
  hostnames: [Shop.Example.com, "*.example.org"]
  rules:
  - name: orders
    matches:
    - path: /orders/{id}
      method: GET
      headers: [{type: RegularExpression, name: X-Version, value: "2.*"}]
      queryParams: [{name: full, value: yes}]
    backendRefs:
    - {name: orders, weight: 9}
    - {name: legacy, weight: 1, filters: [{requestHeaderModifier: {set: {X-Old: 1}}}]}
    timeouts: {request: 1m30s, backendRequest: 500ms}
    retry: {codes: [500, 503], attempts: 3, backoff: 50ms}
    scopes: [orders.read]
    rateClass: sensitive
    maxBody: 1000
""")
    route = file.routes[0]
    (found,) = route.rules
    (match,) = found.matches
    assert route.hostnames == ("shop.example.com", "*.example.org")
    assert (match.path.type, match.path.value, match.method) == (PathType.TEMPLATE, "/orders/{id}", "GET")
    assert match.headers[0].fits("2.1")
    assert not match.headers[0].fits("12.1")
    assert match.query[0].value == "yes"  # and not true, as YAML 1.1 would have it
    assert [(one.upstream, one.weight) for one in found.backends] == [("orders", 9), ("legacy", 1)]
    change = found.backends[1].filters.request_headers
    assert change is not None
    assert change.set == ((b"x-old", b"1"),)
    assert found.timeouts == Timeouts(90.0, 0.5)
    assert found.retry == RetryPolicy(frozenset({500, 503}), 3, 0.05)
    assert (found.access, found.scopes, found.rate_class) == (
        Access.CALLER,
        frozenset({"orders.read"}),
        RateClass.SENSITIVE,
    )
    assert found.max_body == 1000
    assert [(one.name, one.urls, one.service, one.http2) for one in file.upstreams] == [
        ("orders", ("http://a:1", "http://b:2"), "", False),
        ("legacy", (), "legacy", True),
    ]
    assert [one.limits for one in file.upstreams] == [
        UpstreamLimits(),
        UpstreamLimits(0.5, 5.0, 3600.0, 20.0, connections=7, max_head=1024, max_answer=0),
    ]


def test_routes_of_kubernetes_are_taken_as_they_are() -> None:
    file = parse("""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: prod}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [shop.example.com]
  rules:
  - backendRefs: [{name: orders, namespace: prod, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: other}
spec:
  rules:
  - backendRefs: [{group: "", kind: Service, name: other, port: 80}]
""")
    assert [route.name for route in file.routes] == ["shop", "other"]
    assert [one.urls for one in file.upstreams] == [("http://orders.prod:8080",), ("http://other:80",)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert findings("""
upstreams:
  orders: [http://a:1, ftp://b:2]
routes:
- name: shop
  hostname: [a.com]
  rules:
  - matches: [{path: {type: Exakt, value: /a}, methd: GET}]
    backendRefs: [{name: order, weight: -1}]
    timeouts: {request: 5}
""") == [
        "f.yaml:3:24: a URL begins with http:// or https://: 'ftp://b:2'",
        "f.yaml:6:3: a route has no field 'hostname'; did you mean 'hostnames'?",
        "f.yaml:8:29: the type of a path must be one of Exact, Template, RegularExpression, PathPrefix, not 'Exakt'; "
        "did you mean 'Exact'?",
        "f.yaml:8:48: a match has no field 'methd'; did you mean 'method'?",
        "f.yaml:9:26: there is no upstream 'order'; the nearest is 'orders'",
        "f.yaml:9:41: weight must be a whole number from 0 to 1000000, not '-1'",
        "f.yaml:10:25: request must be a duration such as 10s, 500ms or 1m30s, not '5'",
    ]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "f.yaml:1:1: there is no route; a file begins with `routes:`"),
        ("routes: [", "f.yaml:1:10: is not YAML: expected the node content, but found '<stream end>'"),
        ("routes:\n\t/a: b", "f.yaml:2:1: is not YAML: found character '\\t' that cannot start any token"),
        ("route: {}", "f.yaml:1:1: a routes file has no field 'route'; did you mean 'routes'?"),
        ("- a", "f.yaml:1:1: a routes file must be a mapping (key: value), not a list"),
        ("routes: 5", "f.yaml:1:9: routes must be a mapping of paths to upstreams, or a list of routes"),
        ("routes: {/a: http://a:1, /a: http://b:1}", "f.yaml:1:26: '/a' is given twice; first in line 1"),
        ("routes: {a: http://a:1}", "f.yaml:1:10: a path begins with a slash, as in /orders, not 'a'"),
        ("routes: {/a: http://a:1/b}", "f.yaml:1:14: the URL of an upstream has no path; urlRewrite changes paths: 'http://a:1/b'"),
        ("routes: {/a: 'http://a:x'}", "f.yaml:1:14: this is not a URL: 'http://a:x'"),
        ("routes: {/a: 'http://u:p@a'}", "f.yaml:1:14: the URL of an upstream has a host and a port, and nothing else: 'http://u:p@a'"),
        ("routes: {/a/../b: http://a:1}", "f.yaml:1:10: a path must not contain '/../': '/a/../b'"),
        ("routes: {/a: }", "f.yaml:1:13: an upstream must be a text, not empty"),
        ("upstreams: {a: {urls: [http://a:1], protocol: h3}}\nroutes: {/: a}", "f.yaml:1:47: the protocol of an upstream must be one of http1, h2, not 'h3'; it has http1, h2"),
        ("upstreams: {a: {protocol: h2}}\nroutes: {/: a}", "f.yaml:1:16: the upstream 'a' needs either urls or service"),
        ("routes: {'/{a}/{a}': http://a:1}", "f.yaml:1:10: a variable is named twice in '/{a}/{a}'"),
        ("routes: {'/x{a}': http://a:1}", "f.yaml:1:10: a variable is a whole segment, as in /users/{id}, not 'x{a}'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_line(text: str, finding: str) -> None:
    assert findings(text)[0] == finding


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ("timeouts: 5s", "3:37: timeouts must be a mapping (key: value), not '5s'"),
        ("timeouts: {connect: 5}", "3:47: connect must be a duration such as 10s, 500ms or 1m30s, not '5'"),
        ("timeouts: {connect: 0s}", "3:47: connect must be above 0s"),
        ("timeouts: {firstByte: 0ms}", "3:49: firstByte must be above 0s"),
        ("timeouts: {idle: -1s}", "3:44: idle must be a duration such as 10s, 500ms or 1m30s, not '-1s'"),
        ("timeouts: {keepAlive: 0h}", "3:49: keepAlive must be above 0s"),
        ("timeouts: {keepalive: 1s}", "3:38: timeouts has no field 'keepalive'; did you mean 'keepAlive'?"),
        ("maxConnections: 0", "3:43: maxConnections must be a whole number from 1 to 100000, not '0'"),
        ("maxHead: 1023", "3:36: maxHead must be a whole number from 1024 to 1048576, not '1023'"),
        ("maxHead: 64KiB", "3:36: maxHead must be a whole number from 1024 to 1048576, not '64KiB'"),
        ("maxAnswer: -1", "3:38: maxAnswer must be a whole number from 0 to 1099511627776, not '-1'"),
        ("maxAnswers: 1", "3:27: the upstream 'a' has no field 'maxAnswers'; did you mean 'maxAnswer'?"),
    ],
)
def test_a_wrong_limit_of_an_upstream_is_refused_with_its_line(given: str, finding: str) -> None:
    assert findings(f"\nupstreams:\n  a: {{urls: [http://a:1], {given}}}\nroutes: {{/: a}}\n")[0] == f"f.yaml:{finding}"


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("filters: [{type: RequestRedirect, requestRedirect: {}}]", "a rule that redirects has no backendRefs"),
        ("filters: [{urlRewrite: {path: {replacePrefixMatch: /b}}}]", "replacePrefixMatch needs matches whose path is a PathPrefix"),
        ("filters: [{urlRewrite: {}}]", "urlRewrite needs a hostname, a path, or both"),
        ("filters: [{type: URLRewrite, cors: {}}]", "this filter needs the field 'urlRewrite', and no other"),
        ("filters: [{type: Cors}]", "the type of a filter must be one of RequestHeaderModifier, ResponseHeaderModifier, "
         "RequestRedirect, URLRewrite, RequestMirror, CORS, not 'Cors'; did you mean 'CORS'?"),
        ("filters: [{cors: {}}, {cors: {}}]", "cors is there twice; only RequestMirror may be repeated"),
        ("filters: [{requestHeaderModifier: {set: {Host: a}}}]", "the gateway itself writes the header 'host'; urlRewrite.hostname changes it"),
        ("filters: [{requestHeaderModifier: {set: {souk-caller: a}}}]", "the gateway itself writes the header 'souk-caller'"),
        ("filters: [{requestHeaderModifier: {set: {X-A: \"a\\nb: c\"}}}]", "the value of a header is one line without spaces around it, not 'a\\nb: c'"),
        ("filters: [{requestMirror: {}}]", "requestMirror needs a backendRef"),
        ("filters: [{requestMirror: {backendRef: {url: http://a:1}, percent: 101}}]", "percent must be a whole number from 0 to 100, not '101'"),
        ("filters: [{requestMirror: {backendRef: {url: http://a:1}, fraction: {numerator: 3, denominator: 2}}}]", "numerator must be a whole number from 0 to 2, not '3'"),
        ("filters: [{cors: {allowOrigins: [shop.example.com]}}]", "an origin is * or as in https://shop.example.com, not 'shop.example.com'"),
        ("timeouts: {request: 1s, backendRequest: 2s}", "backendRequest, the limit of one try, must not be above request"),
        ("retry: {codes: [200]}", "a code must be a whole number from 400 to 599, not '200'"),
        ("access: nobody", "access must be one of anyone, caller, not 'nobody'; it has anyone, caller"),
        ("access: anyone\n    scopes: [a]", "scopes are those of a caller: access must be caller, or left out"),
        ("replacesContract: si", "replacesContract must be one of true, false, not 'si'; it has true, false"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused(line: str, finding: str) -> None:
    assert [one.partition(": ")[2] for one in rule(line)] == [finding]


@pytest.mark.parametrize(
    ("hostname", "finding"),
    [
        ("a.com:80", "a hostname has no port: 'a.com', not 'a.com:80'"),
        ("10.0.0.1", "a hostname is a name, not an address such as '10.0.0.1'"),
        ("a.*.com", "a hostname is written as shop.example.com or *.example.com, not 'a.*.com'"),
        ("-a.com", "a hostname is written as shop.example.com or *.example.com, not '-a.com'"),
    ],
)
def test_a_wrong_hostname_is_refused(hostname: str, finding: str) -> None:
    text = RULE.replace("- rules:", f"- hostnames: ['{hostname}']\n  rules:")
    assert findings(text) == [f"f.yaml:3:15: {finding}"]


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    levels = [f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 8)]
    text = "upstreams:\n  l0: &l0 [http://a:1]\n" + "\n".join(levels) + "\nroutes: {/a: l0}\n"
    assert any("must be a text, not a list" in one for one in findings(text))
    rules = "x: &r {backendRefs: [http://a:1]}\n"
    many = rules + "routes:\n- rules: &m [" + ", ".join(["*r"] * 300) + "]\n" + "- rules: *m\n" * (MOST_NODES // 300)
    assert any("those that aliases repeat counted each time" in one for one in findings(many))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    with pytest.raises(RoutesFileRefused, match=r"routes.yaml:1:1: cannot be read: No such file"):
        load(path)
    path.write_bytes(b"routes:\n  /a: \xff\n")
    with pytest.raises(RoutesFileRefused, match=r"routes.yaml:2:1: is not UTF-8"):
        load(path)
    path.write_text(SHORT)
    assert len(load(path).routes[0].rules) == 3


def test_deep_nesting_is_refused_and_ends_nothing() -> None:
    assert findings("[" * 2_000) == ["f.yaml:1:1: is not YAML: it is nested too deeply"]
