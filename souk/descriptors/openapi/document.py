"""The OpenAPI 3.1 document of all methods that contracts open to the outside.

It describes what the gateway does and nothing else: each status is one that can occur, and each `code` is one
that can come with it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty

from souk.descriptors.comments import comments_of
from souk.descriptors.contract import Access, Contract, HttpRule, Method
from souk.descriptors.openapi.examples import Examples, examples_of
from souk.descriptors.openapi.json_schema import Schema, Schemas
from souk.descriptors.openapi.responses import HEADERS, Responses
from souk.descriptors.protojson.names import lower_camel, must_be_given

_VARIABLE = re.compile(r"\{(\w+)\}")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_IN_QUERY = ("google.protobuf.Timestamp", "google.protobuf.Duration")

DESCRIPTION = (
    "JSON in lowerCamelCase. Unknown fields and unknown query parameters are refused. Integers of 64 bits are "
    "numbers within 2^53-1. Times are RFC 3339 in UTC. Money is in minor units. Errors are "
    "`application/problem+json` (RFC 9457); `code` is stable. Where a body has an `idempotencyKey`, the header "
    "`Idempotency-Key` may stand in for it; if both are there they must agree. What is not open to anyone takes "
    "`Authorization: Bearer` with an access token."
)


LimitsOf = Callable[[Method], Sequence[Mapping[str, object]]]
"""Returns the rate limits of a method, as `x-rate-limit` shows them."""


def openapi_of(
    contracts: Sequence[Contract], title: str, keys_method: str, limits_of: LimitsOf = lambda _: ()
) -> dict[str, Any]:
    """Makes the document. `keys_method` is the full name of the method that returns the keys of access tokens.

    Calls that need a token also list the code for that method's service being unavailable. Raises KeyError when no
    contract has the method.
    """
    schemas = Schemas(comments_of(contracts))
    methods = {name: method for contract in contracts for name, method in contract.methods.items()}
    examples = examples_of(contracts)
    writer = _Writer(schemas, Responses(schemas, examples, methods[keys_method].service), examples, limits_of)
    operations = [(contract, method, rule) for contract in contracts for method, rule in _public(contract)]
    # Answers first: they get the plain names, and only a request's variant is named "...Input".
    for _, method, _ in operations:
        if method.output is not Empty:
            schemas.answer(cast(Descriptor, method.output.DESCRIPTOR))
    paths: dict[str, dict[str, Any]] = {}
    for contract, method, rule in operations:
        paths.setdefault(_path(rule), {})[rule.verb.lower()] = writer.operation(contract, method, rule)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": DESCRIPTION,
            "contact": {"name": f"The operator of this {title}"},
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The gateway that serves this document."}],
        "tags": _tags(operations, schemas),
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": writer.responses.components,
            "headers": HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "x-codes": dict(sorted(writer.responses.problems.codes.items())),
    }


def _public(contract: Contract) -> Iterator[tuple[Method, HttpRule]]:
    for method in contract.methods.values():
        if method.policy.access in (Access.ANYONE, Access.CALLER) and method.unary:
            for rule in method.http:
                yield method, rule


def _path(rule: HttpRule) -> str:
    return _VARIABLE.sub(lambda match: "{" + lower_camel(match[1]) + "}", rule.path)


def _tags(operations: Iterable[tuple[Contract, Method, HttpRule]], schemas: Schemas) -> list[Schema]:
    services = {contract.name: contract.full_name for contract, _, _ in operations}
    return [{"name": name, **schemas.comment(full_name)} for name, full_name in services.items()]


class _Writer:
    def __init__(self, schemas: Schemas, responses: Responses, examples: Examples, limits_of: LimitsOf) -> None:
        self.schemas, self.responses, self.examples, self.limits_of = schemas, responses, examples, limits_of

    def operation(self, contract: Contract, method: Method, rule: HttpRule) -> dict[str, Any]:
        policy, limits = method.policy, [dict(limit) for limit in self.limits_of(method)]
        comment = self.schemas.comment(method.full_name[1:].replace("/", "."))
        operation: dict[str, Any] = {
            "operationId": method.name[0].lower() + method.name[1:],
            "summary": _summary(method, comment.get("description", "")),
            **comment,
            "tags": [contract.name],
            "security": [{"bearer": []}] if policy.access is Access.CALLER else [],
            "parameters": self._parameters(method, rule),
            "responses": self.responses.of(method, has_body=bool(rule.body), limited=bool(limits)),
            "x-timeout-seconds": policy.timeout,
            "x-rate-class": policy.rate_class.name.lower(),
        }
        if limits:
            operation["x-rate-limit"] = limits
        if policy.roles:
            operation["x-roles"] = sorted(policy.roles)
        if rule.body and (body := self._body(method, rule)):
            operation["requestBody"] = body
        return operation

    def _parameters(self, method: Method, rule: HttpRule) -> list[Schema]:
        message = cast(Descriptor, method.input.DESCRIPTOR)
        bound = _VARIABLE.findall(rule.path)
        found = [self._parameter(message.fields_by_name[name], "path") for name in bound]
        if rule.body != "*":
            open_fields = (field for field in message.fields if field.name not in (*bound, rule.body))
            found += [self._parameter(field, "query") for field in open_fields if _fits_query(field)]
        return found

    def _parameter(self, field: FieldDescriptor, location: str) -> Schema:
        schema = self.schemas.parameter(field)
        if location == "path" and schema.get("type") == "string":
            schema["minLength"] = 1
        required = location == "path" or must_be_given(field)
        comment = self.schemas.comment(field.full_name)
        example = self.examples.parameter(field, required=required)
        return {"name": field.json_name, "in": location, "required": required, **comment, "schema": schema, **example}

    def _body(self, method: Method, rule: HttpRule) -> Schema | None:
        message = cast(Descriptor, method.input.DESCRIPTOR)
        if rule.body != "*":
            inner = message.fields_by_name[rule.body].message_type
            if inner is None:
                return None
            return _content(self.schemas.request(inner), inner.fields, self.examples.of(inner, request=True))
        bound = _VARIABLE.findall(rule.path)
        fields = [field for field in message.fields if field.name not in bound]
        if not fields:
            return None
        schema = self.schemas.request(message, bound, method.policy.idempotency_field)
        return _content(schema, fields, self.examples.of(message, request=True, elsewhere=bound))


def _summary(method: Method, description: str) -> str:
    """Returns the first sentence of the description, or, if there is none, the method's name in words."""
    first = description.partition(". ")[0].removesuffix(".")
    return first or _WORDS.sub(" ", method.name).capitalize()


def _fits_query(field: FieldDescriptor) -> bool:
    return field.message_type is None or field.message_type.full_name in _IN_QUERY


def _content(schema: Schema, fields: Iterable[FieldDescriptor], example: Schema) -> Schema:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"required": any(map(must_be_given, fields)), "content": content}
