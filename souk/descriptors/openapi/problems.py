"""Problems in OpenAPI: one schema for each code, so that generated clients have a type for each.

Each schema is written out in full and does not extend a general one: many generators cannot narrow a member to which
another schema has already given a type.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from souk.descriptors.contract import Method
from souk.descriptors.openapi.examples import Examples
from souk.descriptors.openapi.gateway_codes import CODES, Code, unavailable
from souk.descriptors.openapi.json_schema import Schema, Schemas
from souk.kernel.errors import INVALID_REQUEST

_MEMBERS: Mapping[str, Schema] = {
    "type": {"type": "string", "format": "uri-reference", "description": "A link to the meaning of the code."},
    "title": {"type": "string", "description": "The meaning of the code, in a few words."},
    "status": {"type": "integer", "description": "The HTTP status, again."},
    "detail": {"type": "string", "description": "What happened, in words for people."},
    "code": {"type": "string", "description": "Stable: programs decide by this."},
    "requestId": {"type": "string", "description": "Names the request in the server's log."},
}
_ERRORS: Schema = {
    "type": "array",
    "description": "What is wrong with the request, field by field.",
    "items": {"$ref": "#/components/schemas/FieldError"},
}
_FIELD_ERROR: Schema = {
    "type": "object",
    "description": "What is wrong with one field.",
    "properties": {
        "field": {"type": "string", "description": "The field's path in JSON, such as `items[0].quantity`."},
        "detail": {"type": "string", "description": "What it must be."},
    },
    "required": ["field", "detail"],
}
_REQUEST_ID = "01JD4R0Y3K8Z6W5T2Q1N7M9P4B"


class Problems:
    """Adds the schemas of problems to those of messages, and collects the meaning of every code."""

    def __init__(self, schemas: Schemas, examples: Examples) -> None:
        self.codes: dict[str, dict[str, Any]] = {name: _explained(code) for name, code in CODES.items()}
        self._schemas, self._examples = schemas, examples
        self._names: dict[tuple[str, int, str], str] = {}

    def content(self, method: Method, status: int, codes: Sequence[str]) -> Schema:
        """Returns the content of an answer that is one of these problems, with an example of each."""
        references = {code: self._reference(method, status, code) for code in codes}
        schema: Schema = next(iter(references.values()))
        if len(references) > 1:
            mapping = {code: reference["$ref"] for code, reference in references.items()}
            discriminator = {"propertyName": "code", "mapping": mapping}
            schema = {"oneOf": list(references.values()), "discriminator": discriminator}
        examples = {code: {"value": self._example(method, status, code)} for code in codes}
        return {"application/problem+json": {"schema": schema, "examples": examples}}

    def _reference(self, method: Method, status: int, code: str) -> Schema:
        detail = self._detail(method, code)
        identity = (code, status, "" if detail is None else detail.full_name)
        if identity not in self._names:
            text = self._text(method, code)
            self.codes.setdefault(code, _explained(text))
            name = self._free_name(code, method.service)
            self._names[identity] = name
            self._schemas.components[name] = self._schema(status, code, text, detail)
        return {"$ref": f"#/components/schemas/{self._names[identity]}"}

    def _free_name(self, code: str, service: str) -> str:
        name = "".join(word.capitalize() for word in code.split("_")) + "Problem"
        qualified = "".join(word.capitalize() for word in service.replace("-", ".").split(".")) + name
        numbered = (f"{qualified}{number}" for number in range(2, 1_000))
        return next(one for one in (name, qualified, *numbered) if one not in self._schemas.components)

    def _schema(self, status: int, code: str, text: Code, detail: Any) -> Schema:
        own: Schema = self._schemas.members(detail) if detail is not None else {"properties": {}}
        members = {name: dict(member) for name, member in _MEMBERS.items()}
        members["status"]["const"] = status
        members["code"]["const"] = code
        if code == INVALID_REQUEST:
            self._schemas.components.setdefault("FieldError", _FIELD_ERROR)
            members["errors"] = _ERRORS
        return {
            "type": "object",
            "description": f"{text.meaning} {text.remedy}".strip() or "The service refuses.",
            "properties": {**members, **own["properties"]},
            "required": [*_MEMBERS, *own.get("required", ())],
        }

    def _example(self, method: Method, status: int, code: str) -> Any:
        text, detail = self._text(method, code), self._detail(method, code)
        document = {
            "type": f"/docs#{code}",
            "title": code.replace("_", " ").capitalize(),
            "status": status,
            "detail": text.meaning or "the service refuses",
            "code": code,
            "requestId": _REQUEST_ID,
        }
        if code == INVALID_REQUEST:
            document["errors"] = [{"field": "pageSize", "detail": "must be 1 to 100"}]
        return {**document, **(self._examples.of(detail) if detail is not None else {})}

    def _detail(self, method: Method, code: str) -> Any:
        reason = method.reasons.get(code)
        return None if reason is None or reason.detail is None else reason.detail.DESCRIPTOR

    def _text(self, method: Method, code: str) -> Code:
        reason = method.reasons.get(code)
        if reason is not None and reason.meaning:
            return Code(reason.http_status, reason.meaning, reason.remedy)
        if code in CODES:
            return CODES[code]
        service = code.removesuffix("_UNAVAILABLE")
        return Code(0, "", "") if service == code else unavailable(service.lower().replace("_", "-"))[1]


def _explained(code: Code) -> dict[str, Any]:
    return {"status": code.status, "meaning": code.meaning, "remedy": code.remedy}
