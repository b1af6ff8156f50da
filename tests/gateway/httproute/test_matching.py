"""The Gateway API's conformance tests of HTTPRoute that concern matching, each under its name."""

import ssl
from pathlib import Path
from typing import Any

import httpx

from souk.runtime.process.http.server import serving
from souk.runtime.process.http.tls import ServerCertificate, ServerTls
from souk.runtime.process.sockets import address_of, listen
from souk.testing.certificates import Authority

MATCHING = """
routes:
- rules:
  - matches:
    - path: {type: PathPrefix, value: /}
    - headers: [{name: version, value: one}]
    backendRefs: [v1]
  - matches:
    - path: {type: PathPrefix, value: /v2}
    - headers: [{name: version, value: two}]
    backendRefs: [v2]
"""


async def test_HTTPRouteSimpleSameNamespace(site: Any) -> None:
    site.use("routes:\n- rules:\n  - backendRefs: [v1]\n")
    await site.reaches("v1", "/")


async def test_HTTPRouteMatching(site: Any) -> None:
    site.use(MATCHING)
    for path in ("/", "/example", "/v2example", "/foo/v2/example"):
        await site.reaches("v1", path)
    await site.reaches("v1", "/", headers={"Version": "one"})
    for path in ("/v2", "/v2/", "/v2/example"):
        await site.reaches("v2", path)
    await site.reaches("v2", "/", headers={"Version": "two"})


async def test_HTTPRouteMatchingAcrossRoutes(site: Any) -> None:
    site.use("""
routes:
- hostnames: [example.com, example.net]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /}
    - headers: [{name: version, value: one}]
    backendRefs: [v1]
- hostnames: [example.com]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /v2}
    - headers: [{name: version, value: two}]
    backendRefs: [v2]
""")
    await site.reaches("v1", "/", host="example.com")
    await site.reaches("v1", "/example", host="example.com")
    await site.reaches("v1", "/example", host="example.net")
    await site.reaches("v1", "/example", host="example.com", headers={"Version": "one"})
    await site.reaches("v2", "/v2", host="example.com")
    await site.reaches("v1", "/v2", host="example.net")
    await site.reaches("v2", "/v2/example", host="example.com")
    await site.reaches("v2", "/", host="example.com", headers={"Version": "two"})


async def test_HTTPRoutePathMatchOrder(site: Any) -> None:
    site.use("""
routes:
- rules:
  - {matches: [{path: {type: Exact, value: /match}}], backendRefs: [v1]}
  - {matches: [{path: {type: Exact, value: /match/exact}}], backendRefs: [v2]}
  - {matches: [{path: {type: Exact, value: /match/exact/one}}], backendRefs: [v3]}
  - {matches: [{path: {type: PathPrefix, value: /match/}}], backendRefs: [v3]}
  - {matches: [{path: {type: PathPrefix, value: /match/prefix/}}], backendRefs: [v1]}
  - {matches: [{path: {type: PathPrefix, value: /match/prefix/one}}], backendRefs: [v2]}
""")
    await site.reaches("v3", "/match/exact/one")
    await site.reaches("v2", "/match/exact")
    await site.reaches("v1", "/match")
    await site.reaches("v2", "/match/prefix/one/any")
    await site.reaches("v1", "/match/prefix/any")
    await site.reaches("v3", "/match/any")


async def test_HTTPRouteExactPathMatching(site: Any) -> None:
    site.use("""
routes:
- rules:
  - {matches: [{path: {type: Exact, value: /one}}], backendRefs: [v1]}
  - {matches: [{path: {type: Exact, value: /two}}], backendRefs: [v2]}
""")
    await site.reaches("v1", "/one")
    await site.reaches("v2", "/two")
    for path in ("/", "/one/example", "/two/", "/Two"):
        await site.reaches(404, path)


async def test_HTTPRouteHeaderMatching(site: Any) -> None:
    site.use("""
routes:
- rules:
  - {matches: [{headers: [{name: version, value: one}]}], backendRefs: [v1]}
  - {matches: [{headers: [{name: version, value: two}]}], backendRefs: [v2]}
  - {matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}], backendRefs: [v1]}
  - matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}]
    backendRefs: [v1]
  - matches: [{headers: [{name: color, value: red}]}, {headers: [{name: color, value: yellow}]}]
    backendRefs: [v2]
""")
    for backend, headers in (
        ("v1", {"Version": "one"}),
        ("v2", {"Version": "two"}),
        ("v1", {"Version": "two", "Color": "orange"}),
        ("v2", {"Version": "two", "Color": "blue"}),
        (404, {"Color": "orange"}),
        (404, {"Some-Other-Header": "one"}),
        ("v1", {"Color": "blue"}),
        ("v1", {"Color": "green"}),
        ("v2", {"Color": "red"}),
        ("v2", {"Color": "yellow"}),
        (404, {"Color": "purple"}),
    ):
        await site.reaches(backend, "/", headers=headers)


async def test_HTTPRouteMethodMatching(site: Any) -> None:
    site.use("""
routes:
- rules:
  - {matches: [{method: POST}], backendRefs: [v1]}
  - {matches: [{method: GET}], backendRefs: [v2]}
  - {matches: [{path: {value: /path1}, method: GET}], backendRefs: [v1]}
  - {matches: [{headers: [{name: version, value: one}], method: PUT}], backendRefs: [v2]}
  - {matches: [{path: {value: /path2}, headers: [{name: version, value: two}], method: POST}], backendRefs: [v3]}
  - matches:
    - {path: {value: /path3}, method: PATCH}
    - {path: {value: /path4}, headers: [{name: version, value: three}], method: DELETE}
    backendRefs: [v1]
  - {matches: [{path: {value: /path5}}], backendRefs: [v1]}
  - {matches: [{method: PATCH}], backendRefs: [v2]}
  - {matches: [{headers: [{name: version, value: four}]}], backendRefs: [v3]}
""")
    for backend, method, path, headers in (
        ("v1", "POST", "/", {}),
        ("v2", "GET", "/", {}),
        (404, "HEAD", "/", {}),
        ("v1", "GET", "/path1", {}),
        ("v2", "PUT", "/", {"version": "one"}),
        ("v3", "POST", "/path2", {"version": "two"}),
        ("v1", "PATCH", "/path3", {}),
        ("v1", "DELETE", "/path4", {"version": "three"}),
        (404, "PUT", "/", {}),
        (404, "DELETE", "/path4", {}),
        ("v1", "PATCH", "/path5", {}),
        ("v2", "PATCH", "/", {"version": "four"}),
    ):
        await site.reaches(backend, path, method=method, headers=headers)


async def test_HTTPRouteQueryParamMatching(site: Any) -> None:
    site.use("""
routes:
- rules:
  - {matches: [{queryParams: [{name: animal, value: whale}]}], backendRefs: [v1]}
  - {matches: [{queryParams: [{name: animal, value: dolphin}]}], backendRefs: [v2]}
  - matches:
    - queryParams: [{name: animal, value: dolphin}, {name: color, value: blue}]
    - queryParams: [{name: ANIMAL, value: Whale}]
    backendRefs: [v3]
  - {matches: [{path: {value: /path1}, queryParams: [{name: animal, value: whale}]}], backendRefs: [v1]}
  - matches: [{headers: [{name: version, value: one}], queryParams: [{name: animal, value: whale}]}]
    backendRefs: [v2]
  - matches:
    - path: {value: /path2}
      headers: [{name: version, value: two}]
      queryParams: [{name: animal, value: whale}]
    backendRefs: [v3]
  - matches:
    - {path: {value: /path3}, queryParams: [{name: animal, value: shark}]}
    - path: {value: /path4}
      headers: [{name: version, value: three}]
      queryParams: [{name: animal, value: kraken}]
    backendRefs: [v1]
  - {matches: [{path: {value: /path5}}], backendRefs: [v1]}
  - {matches: [{queryParams: [{name: animal, value: hydra}]}], backendRefs: [v2]}
  - {matches: [{headers: [{name: version, value: four}]}], backendRefs: [v3]}
""")
    for backend, path, headers in (
        ("v1", "/?animal=whale", {}),
        ("v2", "/?animal=dolphin", {}),
        ("v3", "/?animal=dolphin&color=blue", {}),
        ("v3", "/?ANIMAL=Whale", {}),
        ("v1", "/?animal=whale&otherparam=irrelevant", {}),
        ("v2", "/?animal=dolphin&color=yellow", {}),
        (404, "/?color=blue", {}),
        (404, "/?animal=dog", {}),
        (404, "/?animal=whaledolphin", {}),
        (404, "/", {}),
        ("v1", "/path1?animal=whale", {}),
        ("v2", "/?animal=whale", {"version": "one"}),
        ("v3", "/path2?animal=whale", {"version": "two"}),
        ("v1", "/path3?animal=shark", {}),
        ("v1", "/path4?animal=kraken", {"version": "three"}),
        (404, "/?animal=shark", {}),
        (404, "/path4?animal=kraken", {}),
        ("v1", "/path5?animal=hydra", {}),
        ("v3", "/?animal=hydra", {"version": "four"}),
    ):
        await site.reaches(backend, path, headers=headers)


async def test_HTTPRouteHostnameIntersection(site: Any) -> None:
    """A listener's hostname has no counterpart here: each route names the hostnames that both have."""
    site.use("""
routes:
- hostnames: [very.specific.com]
  rules: [{matches: [{path: {value: /s1}}], backendRefs: [v1]}]
- hostnames: [foo.wildcard.io, bar.wildcard.io, foo.bar.wildcard.io]
  rules: [{matches: [{path: {value: /s2}}], backendRefs: [v2]}]
- hostnames: [very.specific.com]
  rules: [{matches: [{path: {value: /s3}}], backendRefs: [v3]}]
- hostnames: ["*.anotherwildcard.io"]
  rules: [{matches: [{path: {value: /s4}}], backendRefs: [v1]}]
- hostnames: [first.com, sub.first.com, second.com, sub.second.com]
  rules: [{backendRefs: [v2]}]
""")
    for backend, host, path in (
        ("v1", "very.specific.com", "/s1"),
        ("v1", "very.specific.com:1234", "/s1"),
        (404, "non.matching.com", "/s1"),
        (404, "foo.nonmatchingwildcard.io", "/s1"),
        (404, "foo.wildcard.io", "/s1"),
        (404, "very.specific.com", "/non-matching-prefix"),
        ("v2", "foo.wildcard.io", "/s2"),
        ("v2", "bar.wildcard.io", "/s2"),
        ("v2", "foo.bar.wildcard.io", "/s2"),
        (404, "non.matching.com", "/s2"),
        (404, "wildcard.io", "/s2"),
        (404, "very.specific.com", "/s2"),
        (404, "foo.wildcard.io", "/non-matching-prefix"),
        ("v3", "very.specific.com", "/s3"),
        (404, "non.matching.com", "/s3"),
        (404, "foo.specific.com", "/s3"),
        (404, "foo.wildcard.io", "/s3"),
        ("v1", "foo.anotherwildcard.io", "/s4"),
        ("v1", "bar.anotherwildcard.io", "/s4"),
        ("v1", "foo.bar.anotherwildcard.io", "/s4"),
        (404, "anotherwildcard.io", "/s4"),
        (404, "foo.wildcard.io", "/s4"),
        (404, "very.specific.com", "/s4"),
        (404, "foo.anotherwildcard.io", "/non-matching-prefix"),
        (404, "specific.but.wrong.com", "/s5"),
        (404, "wildcard.io", "/s5"),
        ("v2", "first.com", "/"),
        ("v2", "sub.first.com", "/"),
        ("v2", "second.com", "/"),
        ("v2", "sub.second.com", "/"),
        (404, "third.com", "/"),
        (404, "sub.third.com", "/"),
    ):
        await site.reaches(backend, path, host=host)


async def test_HTTPRouteListenerHostnameMatching(site: Any) -> None:
    """The hostnames of the listeners are those of the routes that are attached to them."""
    site.use("""
routes:
- {hostnames: [bar.com], rules: [{backendRefs: [v1]}]}
- {hostnames: [foo.bar.com], rules: [{backendRefs: [v2]}]}
- {hostnames: ["*.bar.com", "*.foo.com"], rules: [{backendRefs: [v3]}]}
""")
    for backend, host in (
        ("v1", "bar.com"),
        ("v2", "foo.bar.com"),
        ("v3", "baz.bar.com"),
        ("v3", "boo.bar.com"),
        ("v3", "multiple.prefixes.bar.com"),
        ("v3", "multiple.prefixes.foo.com"),
        (404, "foo.com"),
        (404, "no.matching.host"),
    ):
        await site.reaches(backend, "/", host=host)


async def test_HTTPRouteNamedRule(site: Any) -> None:
    site.use("""
routes:
- rules:
  - {name: named-rule, matches: [{path: {type: PathPrefix, value: /named}}], backendRefs: [v1]}
  - {matches: [{path: {type: PathPrefix, value: /unnamed}}], backendRefs: [v2]}
""")
    await site.reaches("v1", "/named")
    await site.reaches("v2", "/unnamed")


async def test_HTTPRouteHTTPSListener(site: Any, tmp_path: Path) -> None:
    """The port has one certificate, with every name."""
    site.use("routes: [{hostnames: [example.org], rules: [{backendRefs: [v1]}]}]")
    authority = Authority(tmp_path)
    tls = ServerTls(ServerCertificate(*authority.issue("example.org")))
    trusted = ssl.create_default_context(cafile=authority.ca)
    with listen("127.0.0.1", 0) as listener:
        async with serving(site.gateway, listener, 1, tls=tls), httpx.AsyncClient(verify=trusted, timeout=60) as client:
            for host, status in ("example.org", 200), ("localhost", 404):
                answer = await client.get(
                    f"https://{address_of(listener)}/", headers={"host": host}, extensions={"sni_hostname": host}
                )
                assert answer.status_code == status
                if status == 200:
                    assert answer.json()["headers"]["x-forwarded-proto"] == "https"
