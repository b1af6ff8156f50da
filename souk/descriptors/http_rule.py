"""The HTTP rules of a method (google.api.http)."""

from dataclasses import dataclass

from google.api import http_pb2

WHOLE = "*"
"""The body of a rule that has all fields of the request which the path does not have."""


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One HTTP binding (google.api.http): `body` is "*", the name of a field, or empty for none.

    `response_body` is the field of the answer that is sent; if it is empty, the whole answer is.
    """

    verb: str
    path: str
    body: str = ""
    response_body: str = ""


def rules_of(rule: http_pb2.HttpRule) -> tuple[HttpRule, ...]:
    """Returns the rules of a method: its own, and the additional ones."""
    own = _rule(rule)
    others = (_rule(other) for other in rule.additional_bindings)
    return tuple(found for found in (own, *others) if found is not None)


def _rule(rule: http_pb2.HttpRule) -> HttpRule | None:
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        return None
    if pattern == "custom":
        return HttpRule(rule.custom.kind, rule.custom.path, rule.body, rule.response_body)
    return HttpRule(pattern.upper(), getattr(rule, pattern), rule.body, rule.response_body)
