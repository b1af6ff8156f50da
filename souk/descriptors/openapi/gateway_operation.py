"""An operation that the gateway answers by itself or passes on: one that is no HTTP rule of a contract."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from souk.descriptors.contract import Method
from souk.descriptors.http_rule import HttpRule
from souk.descriptors.openapi.json_schema import Schema

_COOKIES: Schema = {
    "sessionAccess": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-souk-access",
        "description": "The access token of a session. It is good for every operation that takes `bearer`.",
    },
    "sessionRefresh": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-souk-refresh",
        "description": "The refresh token of a session.",
    },
}
_TAGS = {
    "gateway": "What the gateway answers by itself: browsers' sessions, and tokens for OAuth clients.",
    "routes": "Routes of the operator's file, to servers whose requests and answers are not described here.",
}


@dataclass(frozen=True, slots=True)
class GatewayOperation:
    """What the OpenAPI document says of it.

    `method` stands for it: its policy says who may call it, and its rate limits hold if `limited`. With `rule`, the
    body is the one that this method has by this rule. `answers` are what is no problem, by status; `codes` are the
    gateway's own problems that can occur besides those of any request, and `unavailable` the services without which it
    cannot be answered. `replaces` allows it to stand where a contract has an operation.
    """

    verb: str
    path: str
    id: str
    tag: str
    summary: str
    description: str
    method: Method
    answers: Mapping[str, Schema]
    codes: Sequence[str] = ()
    unavailable: Sequence[str] = ()
    security: Sequence[Schema] = ()
    rule: HttpRule | None = None
    body: Schema | None = None
    parameters: Sequence[Schema] = ()
    limited: bool = True
    timeout: float | None = None
    replaces: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def gateway_tags(operations: Iterable[GatewayOperation]) -> list[Schema]:
    """Returns the tags of operations, described."""
    names = dict.fromkeys(operation.tag for operation in operations)
    return [{"name": name, "description": _TAGS[name]} for name in names]


def cookie_schemes(operations: Iterable[GatewayOperation]) -> Schema:
    """Returns the schemes of cookies that operations ask for."""
    asked = {name for operation in operations for scheme in operation.security for name in scheme}
    return {name: scheme for name, scheme in _COOKIES.items() if name in asked}
