"""Checks every answer against the OpenAPI document: its status, its content type, its schema."""

import json
import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from souk.gateway.limits.defaults import DEFAULTS
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.openapi.document import document_of
from souk.kernel.clock import SystemClock


@cache
def document() -> dict[str, Any]:
    """Makes the OpenAPI document from the contracts."""
    contracts = [contract_of(service.contract) for service in app.services]
    limits = RateLimits.of(DEFAULTS, MemoryQuotas(SystemClock()), LimitMode.REPORT)
    described = document_of(contracts, app.name.capitalize(), app.token_issuer, limits.described)
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


@cache
def _routes() -> list[tuple[re.Pattern[str], str]]:
    """Gives the paths as patterns, the simplest first, since a variable must not match a custom verb."""
    paths = sorted(document()["paths"], key=lambda path: (path.count("{"), path))
    return [(re.compile(re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(path))), path) for path in paths]


@cache
def _validator(pointer: str) -> Any:
    return jsonschema_rs.validator_for({**document(), "$ref": f"#/{pointer}"})


def check(response: httpx.Response) -> None:
    """Raises AssertionError for an answer that the document does not list."""
    route = next((path for pattern, path in _routes() if pattern.fullmatch(response.request.url.path)), None)
    method = response.request.method.lower()
    if route is None or method not in document()["paths"][route]:
        return
    where = f"{method.upper()} {route} -> {response.status_code}"
    declared = document()["paths"][route][method]["responses"]
    assert str(response.status_code) in declared, f"{where} is not declared: {response.read().decode()}"
    found, pointer = (
        declared[str(response.status_code)],
        f"paths/{_escaped(route)}/{method}/responses/{response.status_code}",
    )
    if "$ref" in found:
        pointer = found["$ref"].removeprefix("#/")
        found = document()["components"]["responses"][pointer.rpartition("/")[2]]
    for name, header in found.get("headers", {}).items():
        assert name in response.headers or not header.get("required"), f"{where} has no {name}"
    _check_content(response, found, pointer, where)


def _check_content(response: httpx.Response, found: dict[str, Any], pointer: str, where: str) -> None:
    body = response.read()
    if "content" not in found:
        assert body == b"", f"{where} has a body that is not declared"
        return
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in found["content"], f"{where} is {kind}, which is not declared"
    errors = list(_validator(f"{pointer}/content/{_escaped(kind)}/schema").iter_errors(json.loads(body)))
    assert not errors, f"{where} is not as declared: {[error.message for error in errors]} in {body.decode()}"


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
