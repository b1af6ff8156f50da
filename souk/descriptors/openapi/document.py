"""The OpenAPI 3.1 document of all methods that contracts open to the outside.

It describes what the gateway does and nothing else: each status is one that can occur, and each `code` is one
that can come with it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty

from souk.descriptors.comments import comments_of
from souk.descriptors.contract import Access, Contract, Method, Policy
from souk.descriptors.http_rule import WHOLE, HttpRule
from souk.descriptors.http_shape import has_raw_body, rules_served
from souk.descriptors.openapi.examples import Examples, examples_of
from souk.descriptors.openapi.gateway_operation import GatewayOperation, cookie_schemes, gateway_tags
from souk.descriptors.openapi.json_schema import Schema, Schemas
from souk.descriptors.openapi.paths import VARIABLE, PathParameter, Paths, inner_paths, query_fields
from souk.descriptors.openapi.responses import HEADERS, Responses
from souk.descriptors.path_template import Template
from souk.descriptors.protojson.names import lower_camel, must_be_given
from souk.descriptors.protojson.well_known import mask_of, plain_message, text_form
from souk.descriptors.protojson.writer import dumps

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"})
"""The HTTP methods that OpenAPI 3.1 can describe; another one is an extension of its path, `x-report`."""

SECURITY_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key of `POST /api/v1/api-keys`, which may call the operations whose `x-scope` it has.",
    },
}
DESCRIPTION = (
    "JSON in lowerCamelCase. Unknown fields and unknown query parameters are refused. Integers of 64 bits are "
    "numbers within 2^53-1. A field within a message is a query parameter by its path, `filter.title`. "
    "Times are RFC 3339 in UTC. Money is in minor units. Errors are "
    "`application/problem+json` (RFC 9457); `code` is stable. Where a body has an `idempotencyKey`, the header "
    "`Idempotency-Key` may stand in for it; if both are there they must agree. What is not open to anyone takes "
    "`Authorization: Bearer` with an access token."
)


LimitsOf = Callable[[Method], Sequence[Mapping[str, object]]]
"""Returns the rate limits of a method, as `x-rate-limit` shows them."""


def openapi_of(
    contracts: Sequence[Contract],
    title: str,
    keys_method: str,
    limits_of: LimitsOf = lambda _: (),
    besides: Sequence[GatewayOperation] = (),
) -> dict[str, Any]:
    """Makes the document. `keys_method` is the full name of the method that returns the keys of access tokens;
    `besides` are operations that are no rules of contracts.

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
    for contract, method, rule in operations:
        writer.add(contract, method, rule)
    for one in besides:
        writer.add_gateway(one)
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
        "tags": [*_tags(operations, schemas), *gateway_tags(besides)],
        "paths": writer.paths,
        "components": {
            "schemas": schemas.components,
            "responses": writer.responses.components,
            "headers": _used(HEADERS, writer),
            "securitySchemes": {**SECURITY_SCHEMES, **cookie_schemes(besides)},
        },
        "x-codes": dict(sorted(writer.responses.problems.codes.items())),
    }


def _public(contract: Contract) -> Iterator[tuple[Method, HttpRule]]:
    for method in contract.methods.values():
        for rule in rules_served(method):
            yield method, rule


def _security(policy: Policy) -> list[Schema]:
    if policy.access is not Access.CALLER:
        return []
    return [{"bearer": []}, {"apiKey": []}] if policy.scope else [{"bearer": []}]


def _tags(operations: Iterable[tuple[Contract, Method, HttpRule]], schemas: Schemas) -> list[Schema]:
    services = {contract.name: contract.full_name for contract, _, _ in operations}
    return [{"name": name, **schemas.comment(full_name)} for name, full_name in services.items()]


def _used(headers: Mapping[str, Any], writer: "_Writer") -> dict[str, Any]:
    """Returns the headers that an answer has; without rate limits there are none of theirs."""
    written = dumps([writer.paths, writer.responses.components]).decode()
    return {name: header for name, header in headers.items() if f'/headers/{name}"' in written}


class _Writer:
    def __init__(self, schemas: Schemas, responses: Responses, examples: Examples, limits_of: LimitsOf) -> None:
        self.schemas, self.responses, self.examples, self.limits_of = schemas, responses, examples, limits_of
        self.paths: dict[str, dict[str, Any]] = {}
        self._templates = Paths()
        self._ids: Counter[str] = Counter()

    def add(self, contract: Contract, method: Method, rule: HttpRule) -> None:
        """Adds the operation of one rule."""
        path, parameters = self._templates.of(rule.path, cast(Descriptor, method.input.DESCRIPTOR))
        verb = rule.verb.lower() if rule.verb in _METHODS else f"x-{'any' if rule.verb == '*' else rule.verb.lower()}"
        self.paths.setdefault(path, {})[verb] = self._operation(contract, method, rule, parameters)

    def _operation(
        self, contract: Contract, method: Method, rule: HttpRule, parameters: list[PathParameter]
    ) -> dict[str, Any]:
        policy, limits = method.policy, [dict(limit) for limit in self.limits_of(method)]
        comment = self.schemas.comment(method.full_name[1:].replace("/", "."))
        operation: dict[str, Any] = {
            "operationId": self._id(method),
            "summary": _summary(method, comment.get("description", "")),
            **comment,
            "tags": [contract.name],
            "security": _security(policy),
            "parameters": [*map(self._in_path, parameters), *self._in_query(method, rule)],
            "responses": self.responses.of(method, rule, limited=bool(limits)),
            "x-timeout-seconds": policy.timeout,
            "x-rate-class": policy.rate_class.name.lower(),
        }
        if limits:
            operation["x-rate-limit"] = limits
        if method.idempotent:
            operation["x-idempotent"] = True
        if policy.idempotency_field:
            operation["x-idempotency-key"] = lower_camel(policy.idempotency_field)
        if policy.scope:
            operation["x-scope"] = policy.scope
        if policy.roles:
            operation["x-roles"] = sorted(policy.roles)
        if rule.body and (body := self._body(method, rule)):
            operation["requestBody"] = body
        return operation

    def add_gateway(self, operation: GatewayOperation) -> None:
        """Adds an operation of the gateway. A path that differs from a known one in names alone takes its names."""
        path = self._templates.known(operation.path)
        names = dict(zip(VARIABLE.findall(operation.path), VARIABLE.findall(path), strict=True))
        operations = self.paths.setdefault(path, {})
        if operation.verb in operations and not operation.replaces:
            return
        parameters = [{**one, "name": names.get(one["name"], one["name"])} for one in operation.parameters]
        operations[operation.verb] = self._of_gateway(operation, parameters)

    def _of_gateway(self, operation: GatewayOperation, parameters: list[Schema]) -> dict[str, Any]:
        method = operation.method
        limits = [dict(limit) for limit in self.limits_of(method)] if operation.limited else []
        found: dict[str, Any] = {
            "operationId": self._numbered(operation.id),
            "summary": operation.summary,
            "description": operation.description,
            "tags": [operation.tag],
            "security": list(operation.security),
            "parameters": parameters,
            "responses": self.responses.of_gateway(operation, limited=bool(limits)),
            **operation.more,
        }
        if operation.timeout is not None:
            found["x-timeout-seconds"] = operation.timeout
        if operation.limited:
            found["x-rate-class"] = method.policy.rate_class.name.lower()
        if limits:
            found["x-rate-limit"] = limits
        body = operation.body if operation.rule is None else self._body(method, operation.rule)
        return {**found, "requestBody": body} if body else found

    def _id(self, method: Method) -> str:
        """Returns the id of an operation: the method's name; with a number for each further rule of the method."""
        return self._numbered(method.name[0].lower() + method.name[1:])

    def _numbered(self, name: str) -> str:
        self._ids[name] += 1
        return name if self._ids[name] == 1 else f"{name}{self._ids[name]}"

    def _in_path(self, parameter: PathParameter) -> Schema:
        found: Schema = {"name": parameter.name, "in": "path", "required": True}
        if parameter.field is None or parameter.template:
            of = f"A part of `{parameter.template}`" if parameter.template else "Any text"
            text = f"{of}; it may have slashes." if parameter.many else f"{of}."
            return {**found, "description": text, "schema": {"type": "string"}, "example": "example"}
        schema = self.schemas.parameter(parameter.field)
        if schema.get("type") == "string":
            schema["minLength"] = 1
        comment = self.schemas.comment(parameter.field.full_name)
        return {**found, **comment, "schema": schema, **self.examples.parameter(parameter.field, required=True)}

    def _in_query(self, method: Method, rule: HttpRule) -> Iterator[Schema]:
        message = cast(Descriptor, method.input.DESCRIPTOR)
        if rule.body == WHOLE:
            return
        elsewhere = frozenset((*Template.parse(rule.path).variables, rule.body))
        for key, field in query_fields(message, elsewhere):
            if text_form(field) is not None:
                required = "." not in key and must_be_given(field)
                comment, example = (
                    self.schemas.comment(field.full_name),
                    self.examples.parameter(field, required=required),
                )
                schema = self.schemas.parameter(field)
                yield {"name": key, "in": "query", "required": required, **comment, "schema": schema, **example}

    def _body(self, method: Method, rule: HttpRule) -> Schema | None:
        message = cast(Descriptor, method.input.DESCRIPTOR)
        bound = Template.parse(rule.path).variables
        if has_raw_body(method, rule):
            return _RAW
        if rule.body != WHOLE:
            return self._body_field(message, message.fields_by_name[rule.body], rule)
        fields = [field for field in message.fields if field.name not in bound]
        if not fields:
            return None
        schema = self.schemas.request(message, bound, method.policy.idempotency_field)
        return _content(schema, fields, self.examples.of(message, request=True, elsewhere=bound))

    def _body_field(self, message: Descriptor, field: FieldDescriptor, rule: HttpRule) -> Schema:
        inner = plain_message(field)
        if inner is None:
            return _content(self.schemas.field(field, request=True), [field], self.examples.value(field, request=True))
        bound = inner_paths(frozenset(Template.parse(rule.path).variables), field.name)
        partial = rule.verb == "PATCH" and mask_of(message) is not None
        schema = self.schemas.request(inner, bound, partial=partial)
        example = self.examples.of(inner, request=True, elsewhere=bound)
        fields = () if partial else (one for one in inner.fields if one.name not in bound)
        return _content(schema, fields, example)


def _summary(method: Method, description: str) -> str:
    """Returns the first sentence of the description, or, if there is none, the method's name in words."""
    first = description.partition(". ")[0].removesuffix(".")
    return first or _WORDS.sub(" ", method.name).capitalize()


_RAW: Schema = {"content": {"*/*": {"schema": {}}}}
"""A body of any content type, for a google.api.HttpBody."""


def _content(schema: Schema, fields: Iterable[FieldDescriptor], example: Any) -> Schema:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"required": any(map(must_be_given, fields)), "content": content}
