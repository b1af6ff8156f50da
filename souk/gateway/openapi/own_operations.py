"""The operations that the gateway answers by itself: sessions of browsers, and tokens for OAuth clients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from souk.descriptors.contract import Contract, Method, Reason
from souk.descriptors.http_rule import WHOLE, HttpRule
from souk.descriptors.openapi.gateway_operation import GatewayOperation
from souk.descriptors.openapi.json_schema import Schema
from souk.gateway.auth.identity import Issuer
from souk.gateway.auth.token_endpoint import GRANT, TOKEN_PATH
from souk.gateway.session_endpoints import REFRESH_PATH, SESSION_PATH
from souk.kernel.errors import FORBIDDEN, INVALID_REQUEST

_TAG = "gateway"
_FROM_A_PAGE = "The request must come from a page of this origin, as the browser itself says."
_NO_TOKEN_IN_SCRIPTS = "sets the cookies, which no script can read, in place of an answer with tokens"
_COOKIES = {"Set-Cookie": {"description": "The tokens, as two cookies.", "schema": {"type": "string"}}}
_OF_A_PAGE = {"x-same-origin": True}
_FORM_CODES = ("REQUEST_TIMEOUT", "BODY_TOO_LARGE")
_JSON_CODES = (*_FORM_CODES, "UNSUPPORTED_MEDIA_TYPE")
_CALL_CODES = ("DEADLINE_EXCEEDED",)


def own_operations(contracts: Sequence[Contract], issuer: Issuer) -> Iterator[GatewayOperation]:
    """Gives the operations that this issuer has the gateway answer. Raises KeyError for a method that is nowhere."""
    methods = {name: method for contract in contracts for name, method in contract.methods.items()}
    if issuer.client_tokens_method:
        yield _client_token(methods[issuer.client_tokens_method])
    if issuer.login_method:
        yield from _session(methods[issuer.login_method])


def _session(login: Method) -> Iterator[GatewayOperation]:
    done: Mapping[str, Schema] = {"204": {"description": "No Content", "headers": _COOKIES}}
    services, timeout = (login.service,), login.policy.timeout
    codes = ("CROSS_SITE", *_CALL_CODES)
    yield GatewayOperation(
        "post", SESSION_PATH, "openSession", _TAG, "Logs a browser in",
        f"Logs a browser in: {_NO_TOKEN_IN_SCRIPTS}. {_FROM_A_PAGE}",
        login, done, (*codes, *_JSON_CODES), services, rule=HttpRule("POST", SESSION_PATH, WHOLE), timeout=timeout,
        more=_OF_A_PAGE,
    )  # fmt: skip
    known = replace(login, reasons=_without(login, FORBIDDEN, INVALID_REQUEST))
    yield GatewayOperation(
        "post", REFRESH_PATH, "refreshSession", _TAG, "Renews the tokens of a session",
        f"Renews the tokens of a session: {_NO_TOKEN_IN_SCRIPTS}. {_FROM_A_PAGE}",
        known, done, codes, services, security=[{"sessionRefresh": []}], timeout=timeout,
        more=_OF_A_PAGE,
    )  # fmt: skip
    yield GatewayOperation(
        "delete", SESSION_PATH, "closeSession", _TAG, "Logs a browser out",
        f"Logs a browser out, and deletes its cookies; without a session nothing happens. {_FROM_A_PAGE}",
        replace(login, reasons={}), done, codes, services,
        security=[{"sessionAccess": [], "sessionRefresh": []}, {"sessionRefresh": []}, {}], timeout=timeout,
        more=_OF_A_PAGE,
    )  # fmt: skip


def _without(method: Method, *names: str) -> Mapping[str, Reason]:
    return {name: reason for name, reason in method.reasons.items() if name not in names}


def _client_token(method: Method) -> GatewayOperation:
    refused = {"application/json": {"schema": _REFUSAL, "example": {"error": "invalid_client"}}}
    challenge = {"WWW-Authenticate": {"description": "RFC 7617.", "schema": {"type": "string"}}}
    return GatewayOperation(
        "post", TOKEN_PATH, "createClientToken", _TAG, "Gives an OAuth client an access token",
        "Gives an OAuth client an access token (client credentials, RFC 6749, section 4.4). A client is an API key: "
        "its identifier is the `client_id`, the key the `client_secret`, in the form or in `Authorization: Basic`.",
        replace(method, reasons={}),
        {
            "200": {"description": "OK", "content": {"application/json": {"schema": _TOKEN, "example": _TOKEN_GIVEN}}},
            "400": {"description": "The form is not valid, or asks for too much.", "content": refused},
            "401": {"description": "The client is not known.", "headers": challenge, "content": refused},
        },
        (*_FORM_CODES, *_CALL_CODES), (method.service,),
        body={"required": True, "content": {"application/x-www-form-urlencoded": {"schema": _FORM}}},
        timeout=method.policy.timeout,
    )  # fmt: skip


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


_FORM: Schema = {
    "type": "object",
    "properties": {
        "grant_type": {"type": "string", "const": GRANT, "description": "The grant; there is this one."},
        "client_id": _text("The identifier of an API key, unless the header has it."),
        "client_secret": _text("The API key itself, unless the header has it.") | {"format": "password"},
        "scope": _text("Scopes, with spaces between; without it, all that the key has."),
    },
    "required": ["grant_type"],
}
_TOKEN: Schema = {
    "type": "object",
    "properties": {
        "access_token": _text("The access token."),
        "token_type": {"type": "string", "const": "Bearer", "description": "How to send it."},
        "expires_in": {"type": "integer", "description": "For how many seconds it is valid."},
        "scope": _text("Its scopes, with spaces between."),
    },
    "required": ["access_token", "token_type", "expires_in", "scope"],
}
_TOKEN_GIVEN = {
    "access_token": "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "order:read",
}
_REFUSAL: Schema = {
    "type": "object",
    "description": "A refusal as in RFC 6749, section 5.2.",
    "properties": {
        "error": _text("Stable: programs decide by this."),
        "error_description": _text("What happened, in words for people."),
    },
    "required": ["error"],
}
