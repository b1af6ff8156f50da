"""The Gateway API's conformance tests of HTTPRoute that concern headers and rewrites, each under its name."""

from typing import Any

CHANGES = {
    "/set": "{set: [{name: X-Header-Set, value: set-overwrites-values}]}",
    "/add": "{add: [{name: X-Header-Add, value: add-appends-values}]}",
    "/remove": "{remove: [X-Header-Remove]}",
    "/multiple": "{set: [{name: X-Header-Set-1, value: header-set-1}, {name: X-Header-Set-2, value: header-set-2}], "
    "add: [{name: X-Header-Add-1, value: header-add-1}, {name: X-Header-Add-2, value: header-add-2}, "
    "{name: X-Header-Add-3, value: header-add-3}], remove: [X-Header-Remove-1, X-Header-Remove-2]}",
    "/case-insensitivity": "{set: [{name: X-Header-Set, value: header-set}], add: [{name: X-Header-Add, "
    "value: header-add}, {name: x-lowercase-add, value: lowercase-add}, {name: X-UPPERCASE-ADD, "
    "value: uppercase-add}], remove: [X-Header-Remove]}",
}
MODIFIES = (
    "{set: [{name: X-Header-Set, value: set-overwrites-values}], add: [{name: X-Header-Add, value: header-val-1}, "
    "{name: X-Header-Add-Append, value: header-val-2}], remove: [X-Header-Remove]}"
)
MODIFIED = {
    "x-header-add": "header-val-1",
    "x-header-add-append": "append-val-1,header-val-2",
    "x-header-set": "set-overwrites-values",
    "x-header-remove": None,
}
TO_MODIFY = {"X-Header-Remove": "remove-val", "X-Header-Add-Append": "append-val-1", "X-Header-Set": "set-val"}
CASES = (
    ("/set", {"Some-Other-Header": "val"}, {"some-other-header": "val", "x-header-set": "set-overwrites-values"}),
    ("/set", {"X-Header-Set": "some-other-value"}, {"x-header-set": "set-overwrites-values"}),
    ("/add", {"Some-Other-Header": "val"}, {"some-other-header": "val", "x-header-add": "add-appends-values"}),
    ("/add", {"X-Header-Add": "some-other-value"}, {"x-header-add": "some-other-value,add-appends-values"}),
    ("/remove", {"X-Header-Remove": "val"}, {"x-header-remove": None}),
    (
        "/multiple",
        {
            "X-Header-Set-2": "set-val-2",
            "X-Header-Add-2": "add-val-2",
            "X-Header-Remove-2": "val",
            "Another-Header": "a",
        },
        {
            "x-header-set-1": "header-set-1",
            "x-header-set-2": "header-set-2",
            "x-header-add-1": "header-add-1",
            "x-header-add-2": "add-val-2,header-add-2",
            "x-header-add-3": "header-add-3",
            "another-header": "a",
            "x-header-remove-1": None,
            "x-header-remove-2": None,
        },
    ),
    (
        "/case-insensitivity",
        {"x-header-set": "original", "x-header-add": "original-add", "x-header-remove": "r", "Another-Header": "a"},
        {
            "x-header-set": "header-set",
            "x-header-add": "original-add,header-add",
            "x-lowercase-add": "lowercase-add",
            "x-uppercase-add": "uppercase-add",
            "another-header": "a",
            "x-header-remove": None,
        },
    ),
)


def rules(kind: str, *, backend: bool) -> str:
    lines = ["routes:", "- rules:"]
    for path, change in CHANGES.items():
        filters = f"[{{type: {kind[0].upper() + kind[1:]}, {kind}: {change}}}]"
        of_rule, of_backend = ("", f", filters: {filters}") if backend else (f", filters: {filters}", "")
        lines.append(
            f"  - {{matches: [{{path: {{value: {path}}}}}], backendRefs: [{{name: v1{of_backend}}}]{of_rule}}}"
        )
    return "\n".join(lines) + "\n"


def check(found: Any, expected: dict[str, str | None]) -> None:
    assert {name: found.get(name) for name in expected} == expected


async def test_HTTPRouteRequestHeaderModifier(site: Any) -> None:
    site.use(rules("requestHeaderModifier", backend=False))
    for path, sent, expected in CASES:
        check((await site.reaches("v1", path, headers=sent))["headers"], expected)


async def test_HTTPRouteBackendRequestHeaderModifier(site: Any) -> None:
    site.use(rules("requestHeaderModifier", backend=True))
    for path, sent, expected in CASES:
        check((await site.reaches("v1", path, headers=sent))["headers"], expected)


async def test_HTTPRouteResponseHeaderModifier(site: Any) -> None:
    site.use(rules("responseHeaderModifier", backend=False))
    for path, given, expected in CASES:
        echo = {"X-Echo-Set-Header": ",".join(f"{name}:{value}" for name, value in given.items())}
        answer = await site.send(path, headers=echo)
        check({name: value.replace(", ", ",") for name, value in answer.headers.items()}, expected)
    site.use(f"""
routes:
- rules:
  - filters:
    - {{responseHeaderModifier: {CHANGES["/multiple"]}}}
    - {{requestHeaderModifier: {MODIFIES}}}
    backendRefs: [v1]
""")
    _, given, expected = CASES[5]
    echo = {"X-Echo-Set-Header": ",".join(f"{name}:{value}" for name, value in given.items())}
    answer = await site.send("/", headers={**echo, **TO_MODIFY})
    check({name: value.replace(", ", ",") for name, value in answer.headers.items()}, expected)
    check(answer.json()["headers"], MODIFIED)


async def test_HTTPRouteRequestHeaderModifierBackendWeights(site: Any) -> None:
    site.use("""
routes:
- rules:
  - backendRefs:
    - {name: v1, weight: 10, filters: [{requestHeaderModifier: {set: [{name: Backend, value: v1}]}}]}
    - {name: v2, weight: 10, filters: [{requestHeaderModifier: {set: [{name: Backend, value: v2}]}}]}
""")
    answers = [(await site.send("/")).json() for _ in range(100)]
    assert [one["headers"]["backend"] for one in answers] == [one["backend"] for one in answers]
    assert {one["backend"] for one in answers} == {"v1", "v2"}


async def test_HTTPRouteRewriteHost(site: Any) -> None:
    site.use(f"""
routes:
- hostnames: [rewrite.example]
  rules:
  - matches: [{{path: {{value: /one}}}}]
    filters: [{{type: URLRewrite, urlRewrite: {{hostname: one.example.org}}}}]
    backendRefs: [v1]
  - filters: [{{type: URLRewrite, urlRewrite: {{hostname: example.org}}}}]
    backendRefs: [v2]
  - matches: [{{path: {{value: /rewrite-host-and-modify-headers}}}}]
    filters:
    - {{type: URLRewrite, urlRewrite: {{hostname: test.example.org}}}}
    - {{type: RequestHeaderModifier, requestHeaderModifier: {MODIFIES}}}
    backendRefs: [v2]
""")
    host = "rewrite.example"
    assert (await site.reaches("v1", "/one", host=host))["host"] == "one.example.org"
    assert (await site.reaches("v2", "/two", host=host))["host"] == "example.org"
    seen = await site.reaches("v2", "/rewrite-host-and-modify-headers", host=host, headers=TO_MODIFY)
    assert (seen["host"], seen["path"]) == ("test.example.org", "/rewrite-host-and-modify-headers")
    check(seen["headers"], MODIFIED)


async def test_HTTPRouteRewritePath(site: Any) -> None:
    site.use(f"""
routes:
- rules:
  - matches: [{{path: {{value: /prefix/one}}}}]
    filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /one}}}}}}]
    backendRefs: [v1]
  - matches: [{{path: {{value: /strip-prefix}}}}]
    filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}}}]
    backendRefs: [v1]
  - matches: [{{path: {{value: /full/one}}}}]
    filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplaceFullPath, replaceFullPath: /one}}}}}}]
    backendRefs: [v1]
  - matches: [{{path: {{value: /full/rewrite-path-and-modify-headers}}}}]
    filters:
    - {{urlRewrite: {{path: {{replaceFullPath: /test}}}}}}
    - {{requestHeaderModifier: {MODIFIES}}}
    backendRefs: [v1]
  - matches: [{{path: {{value: /prefix/rewrite-path-and-modify-headers}}}}]
    filters:
    - {{urlRewrite: {{path: {{replacePrefixMatch: /prefix}}}}}}
    - {{requestHeaderModifier: {MODIFIES}}}
    backendRefs: [v1]
""")
    for path, expected in (
        ("/prefix/one/two", "/one/two"),
        ("/strip-prefix/three", "/three"),
        ("/strip-prefix", "/"),
        ("/full/one/two", "/one"),
    ):
        assert (await site.reaches("v1", path))["path"] == expected
    for path, expected in (
        ("/full/rewrite-path-and-modify-headers/test", "/test"),
        ("/prefix/rewrite-path-and-modify-headers/one", "/prefix/one"),
    ):
        seen = await site.reaches("v1", path, headers=TO_MODIFY)
        assert seen["path"] == expected
        check(seen["headers"], MODIFIED)


async def test_HTTPRouteBackendURLRewrite(site: Any) -> None:
    site.use("""
routes:
- rules:
  - matches: [{path: {value: /full}}]
    backendRefs:
    - {name: v1, filters: [{type: URLRewrite, urlRewrite: {path: {replaceFullPath: /rewritten-full}}}]}
  - matches: [{path: {value: /prefix}}]
    backendRefs:
    - {name: v1, filters: [{type: URLRewrite, urlRewrite: {path: {replacePrefixMatch: /rewritten-prefix}}}]}
""")
    assert (await site.reaches("v1", "/full/original"))["path"] == "/rewritten-full"
    assert (await site.reaches("v1", "/prefix/original"))["path"] == "/rewritten-prefix/original"
