"""Makes the OpenAPI document of a gateway."""

from collections.abc import Sequence
from typing import Any

from souk.descriptors.contract import Contract
from souk.descriptors.http_shape import rules_served
from souk.descriptors.openapi.document import LimitsOf, openapi_of
from souk.gateway.auth.identity import Issuer
from souk.gateway.openapi.own_operations import own_operations
from souk.gateway.openapi.route_operations import route_operations, rules_without_path
from souk.gateway.routing.model import RoutesFile


def document_of(
    contracts: Sequence[Contract],
    title: str,
    issuer: Issuer,
    limits_of: LimitsOf = lambda _: (),
    file: RoutesFile | None = None,
) -> dict[str, Any]:
    """Returns the document: every route of contracts and of the routes file, sessions, and tokens for clients.

    Where a rule and a contract have the same path and method, the contract's operation stands, unless the rule takes
    its place whole. Raises KeyError when no contract has a method that the issuer names.
    """
    file = file or RoutesFile("")
    operations = [*own_operations(contracts, issuer), *route_operations(file, issuer, contracts)]
    document = openapi_of(contracts, title, issuer.keys_method, limits_of, operations)
    if issuer.login_method:
        _name_login(document, contracts, issuer.login_method)
    return {**document, "x-rules": rules} if (rules := rules_without_path(file)) else document


def _name_login(document: dict[str, Any], contracts: Sequence[Contract], login: str) -> None:
    """Says at the bearer scheme which operation gives access tokens, if the login is one."""
    methods = {name: method for contract in contracts for name, method in contract.methods.items()}
    schemes = document["components"]["securitySchemes"]
    for rule in rules_served(methods[login]):
        operation = document["paths"].get(rule.path, {}).get(rule.verb.lower())
        if operation is not None:
            schemes["bearer"] = {**schemes["bearer"], "x-token-operation": operation["operationId"]}
