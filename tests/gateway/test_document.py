"""The OpenAPI document of a gateway is whole: sessions, tokens for clients, and every route of the file."""

from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from souk.descriptors.openapi.paths import VARIABLE
from souk.gateway.app import OWN_PATHS
from souk.gateway.limits.defaults import DEFAULTS
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.openapi.document import document_of
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.reading.document import parse
from souk.kernel.clock import SystemClock

CONTRACTS = [contract_of(service.contract) for service in app.services]
LIMITS = RateLimits.of(DEFAULTS, MemoryQuotas(SystemClock()), LimitMode.ENFORCE)
FILE = """
routes:
- rules:
  - name: reports
    matches: [{path: {type: PathPrefix, value: /reports}}]
    access: caller
    scopes: [reports]
    rateClass: read
    maxBody: 1000
    backendRefs: [http://127.0.0.1:1]
  - name: one report
    matches: [{path: {type: Template, value: "/files/{name}"}, method: PUT}]
    backendRefs: [http://127.0.0.1:1]
  - name: older
    matches: [{path: {type: Exact, value: /old}, method: GET, headers: [{name: version, value: one}]}]
    filters: [{requestRedirect: {hostname: old.example.com, statusCode: 301}}]
  - name: newer
    matches: [{path: {type: Exact, value: /old}, method: GET}]
    access: caller
    backendRefs: [http://127.0.0.1:1]
  - name: below products
    matches: [{path: {type: PathPrefix, value: /api/v1/products}}]
    backendRefs: [http://127.0.0.1:1]
  - name: own wallet
    matches: [{path: {type: Exact, value: /api/v1/wallet}, method: GET}]
    replacesContract: true
    backendRefs: [http://127.0.0.1:1]
  - name: by pattern
    matches: [{path: {type: RegularExpression, value: "/v[0-9]+/.*"}}]
    backendRefs: [http://127.0.0.1:1]
"""
DOCUMENT = document_of(CONTRACTS, "Souk", app.token_issuer, LIMITS.described, parse(FILE))
PATHS: dict[str, Any] = DOCUMENT["paths"]


def test_it_is_valid_with_routes_of_every_kind() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    OpenAPIV31SpecValidator(document_of(CONTRACTS, "Souk", app.token_issuer, LIMITS.described)).validate()
    names = [operation["operationId"] for path in PATHS.values() for operation in path.values()]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(set(operation["tags"]) <= tags for path in PATHS.values() for operation in path.values())


def test_no_two_paths_differ_in_names_alone() -> None:
    shapes = [VARIABLE.sub("{}", path) for path in PATHS]
    assert len(shapes) == len(set(shapes))


def test_sessions_and_tokens_for_clients_are_in_it() -> None:
    assert PATHS["/session"].keys() == {"post", "delete"}
    opened = PATHS["/session"]["post"]
    assert opened["requestBody"] == PATHS["/api/v1/auth/token"]["post"]["requestBody"]
    assert "Set-Cookie" in opened["responses"]["204"]["headers"]
    assert opened["responses"]["403"] == {"$ref": "#/components/responses/CROSS_SITE_403"}
    assert [one["policy"] for one in opened["x-rate-limit"]] == ["sensitive", "account"]
    assert PATHS["/session:refresh"]["post"]["security"] == [{"sessionRefresh": []}]
    token = PATHS["/oauth/token"]["post"]
    assert list(token["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    assert list(token["responses"]["401"]["content"]) == ["application/json"]
    given = token["responses"]["200"]["content"]["application/json"]
    assert jsonschema_rs.is_valid(given["schema"], given["example"])
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {scheme["name"] for scheme in schemes.values() if scheme.get("in") == "cookie"} == {
        "__Host-souk-access",
        "__Host-souk-refresh",
    }


def test_every_own_path_that_calls_a_service_is_in_it() -> None:
    assert {path for path in OWN_PATHS if "session" in path or "oauth" in path} <= PATHS.keys()


@pytest.mark.parametrize("operation", [("/session", "post"), ("/session:refresh", "post"), ("/reports/{rest}", "get")])
def test_what_is_limited_answers_429_with_what_is_left(operation: tuple[str, str]) -> None:
    path, verb = operation
    refused: Any = PATHS[path][verb]["responses"]["429"]
    if "$ref" in refused:
        refused = DOCUMENT["components"]["responses"][refused["$ref"].rpartition("/")[2]]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= refused["headers"].keys()


def test_a_prefix_is_the_path_and_all_below_it_with_access_and_limits() -> None:
    for path in ("/reports", "/reports/{rest}"):
        assert PATHS[path].keys() == {"get", "put", "post", "delete", "patch"}
        got = PATHS[path]["get"]
        assert (got["security"], got["x-rate-class"]) == ([{"bearer": []}, {"apiKey": []}], "read")
        assert [one["policy"] for one in got["x-rate-limit"]] == ["reads"]
        (rule,) = got["x-rules"]
        assert rule == {
            "rule": "reports", "match": "PathPrefix /reports", "access": "caller", "scopes": ["reports"],
            "rateClass": "read", "maxBody": 1000,
        }  # fmt: skip
        assert {"401", "403", "502", "503", "504", "default"} <= got["responses"].keys()
        assert got["responses"]["default"]["content"] == {"*/*": {"schema": {}}}
        assert PATHS[path]["post"]["requestBody"] == {"content": {"*/*": {"schema": {}}}}
    assert [one["name"] for one in PATHS["/reports/{rest}"]["get"]["parameters"]] == ["rest"]


def test_a_template_has_its_parameters_and_one_method() -> None:
    assert PATHS["/files/{name}"].keys() == {"put"}
    assert [one["name"] for one in PATHS["/files/{name}"]["put"]["parameters"]] == ["name"]
    assert PATHS["/files/{name}"]["put"]["security"] == []
    assert "429" not in PATHS["/files/{name}"]["put"]["responses"]


def test_rules_that_differ_in_headers_share_an_operation() -> None:
    shared = PATHS["/old"]["get"]
    assert [one["rule"] for one in shared["x-rules"]] == ["older", "newer"]
    assert shared["security"] == [{}, {"bearer": []}]
    assert {"301", "default"} <= shared["responses"].keys()


def test_a_contract_keeps_its_operation_unless_a_rule_replaces_it() -> None:
    assert PATHS["/api/v1/products"]["get"]["operationId"] == "listProducts"
    assert PATHS["/api/v1/products"]["put"]["tags"] == ["routes"]
    below = PATHS["/api/v1/products/{id}"]
    assert (below["get"]["operationId"], below["post"]["tags"]) == ("getProduct", ["routes"])
    assert [one["name"] for one in below["post"]["parameters"]] == ["id"]
    assert PATHS["/api/v1/wallet"]["get"]["tags"] == ["routes"]


def test_a_pattern_is_listed_though_it_is_no_path() -> None:
    assert [one["rule"] for one in DOCUMENT["x-rules"]] == ["by pattern"]


def use(world: Any, text: str) -> None:
    file = parse(text)
    world.gateway.use_routes(
        file, {one.name: Upstream(one.name, SystemClock()).listed(one.urls) for one in file.upstreams}
    )


async def test_document_and_page_follow_the_file(world: Any) -> None:
    before = (await world.send("GET", "/openapi.json")).json["paths"]
    assert "/session" in before
    assert "/reports" not in before
    assert b"/reports" not in (await world.send("GET", "/docs")).body
    use(world, FILE)
    assert "/reports" in (await world.send("GET", "/openapi.json")).json["paths"]
    assert b"/reports" in (await world.send("GET", "/docs")).body
    use(world, "routes: {/a: http://127.0.0.1:1}")
    after = (await world.send("GET", "/openapi.json")).json["paths"]
    assert after.keys() - before.keys() == {"/a", "/a/{rest}"}
