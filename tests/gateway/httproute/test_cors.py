"""The Gateway API's conformance test of HTTPRoute's CORS filter."""

from typing import Any

RULES = """
routes:
- rules:
  - matches: [{path: {value: /cors-1}}]
    filters:
    - type: CORS
      cors:
        allowOrigins: ["https://www.foo.com", "https://*.bar.com"]
        allowMethods: [GET, OPTIONS]
        allowHeaders: [x-header-1, x-header-2]
        exposeHeaders: [x-header-3, x-header-4]
        allowCredentials: true
        maxAge: 3600
    backendRefs: [v1]
  - matches: [{path: {value: /cors-2}}]
    filters: [{type: CORS, cors: {allowOrigins: ["https://www.foo.com"], allowMethods: ["*"]}}]
    backendRefs: [v1]
  - matches: [{path: {value: /cors-wildcard-origin}}]
    filters: [{type: CORS, cors: {allowOrigins: ["*"], allowMethods: [PUT], allowCredentials: false}}]
    backendRefs: [v1]
  - matches: [{path: {value: /cors-wildcard-methods-headers}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], allowCredentials: true}}
    backendRefs: [v1]
  - matches: [{path: {value: /cors-wildcard-methods-headers-unauth}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], allowCredentials: false}}
    backendRefs: [v1]
"""
PREFIX = "access-control-"


async def preflight(
    site: Any, path: str, origin: str, method: str, asked: str = "x-header-1, x-header-2"
) -> dict[str, str]:
    headers = {"Origin": origin, "access-control-request-method": method, "access-control-request-headers": asked}
    answer = await site.send(path, method="OPTIONS", headers=headers)
    assert answer.status_code in (200, 204, 403)
    return {name.removeprefix(PREFIX): value for name, value in answer.headers.items() if name.startswith(PREFIX)}


async def simple(site: Any, path: str, origin: str, method: str = "GET") -> dict[str, str]:
    answer = await site.send(path, method=method, headers={"Origin": origin})
    assert answer.status_code == 200
    return {name.removeprefix(PREFIX): value for name, value in answer.headers.items() if name.startswith(PREFIX)}


async def test_HTTPRouteCORS(site: Any) -> None:
    site.use(RULES)
    for origin in ("https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com"):
        assert await preflight(site, "/cors-1", origin, "GET") == {
            "allow-origin": origin,
            "allow-methods": "GET, OPTIONS",
            "allow-headers": "x-header-1, x-header-2",
            "expose-headers": "x-header-3, x-header-4",
            "max-age": "3600",
            "allow-credentials": "true",
        }
    assert await preflight(site, "/cors-1", "https://foobar.com", "GET") == {}
    for origin in ("https://www.foo.com", "https://www.bar.com"):
        assert (await simple(site, "/cors-1", origin))["allow-origin"] == origin
    assert await simple(site, "/cors-1", "https://foobar.com") == {}

    found = await preflight(site, "/cors-2", "https://www.foo.com", "POST")
    assert (found["allow-methods"], found["allow-origin"]) == ("*", "https://www.foo.com")
    assert "allow-credentials" not in found

    for origin in ("https://foobar.com", "https://foobar.com:12345"):
        found = await preflight(site, "/cors-wildcard-origin", origin, "PUT")
        assert (found["allow-origin"], found["allow-methods"]) == ("*", "PUT")
        assert "allow-credentials" not in found
        assert await simple(site, "/cors-wildcard-origin", origin, "PUT") == {"allow-origin": "*"}

    origin = "https://other.foo.com"
    found = await preflight(site, "/cors-wildcard-methods-headers", origin, "PUT")
    assert {name: found[name] for name in ("allow-origin", "allow-methods", "allow-headers", "allow-credentials")} == {
        "allow-origin": origin,
        "allow-methods": "PUT",
        "allow-headers": "x-header-1, x-header-2",
        "allow-credentials": "true",
    }
    found = await preflight(site, "/cors-wildcard-methods-headers-unauth", origin, "PUT")
    assert {found[name] for name in ("allow-origin", "allow-methods", "allow-headers")} == {"*"}
    assert "allow-credentials" not in found
    found = await simple(site, "/cors-wildcard-methods-headers", origin)
    assert found == {"allow-origin": origin, "allow-credentials": "true"}
    assert await simple(site, "/cors-wildcard-methods-headers-unauth", origin) == {"allow-origin": "*"}
