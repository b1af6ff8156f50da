"""The limits of a field in its contract (soukapi.v1.field): as a test, in words, and as JSON Schema."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor
from soukapi.v1 import policy_pb2
from soukapi.v1.policy_pb2 import FieldPolicy

from souk.descriptors.protojson.scalars import INTEGER_RANGES
from souk.kernel.currencies import DECIMALS

Fits: TypeAlias = Callable[[Any], bool]

NO_NUL = r"^[^\x00]*$"
"""The pattern of text without U+0000, which PostgreSQL cannot store."""

KEY = FieldPolicy(min_length=1, max_length=255, format=policy_pb2.FORMAT_ASCII)
"""The limits of an idempotency key that is given."""

_BLANK = (
    r" \xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200b\u200e\u200f\u202f\u205f-\u2065"
    r"\u2800\u3000\u3164\ufeff\uffa0\ufff0-\ufff8"
)
"""Invisible characters: spaces, soft hyphens, fillers, marks of direction. A line must not consist of them alone."""
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb"
"""Line ends, and characters that reverse the direction of the text after them; a line may not contain them."""
_JOINER, _VARIANT = r"\u200c\u200d", r"\ufe00-\ufe0f"
"""Joiners and variation selectors belong to the character before them (Persian, Malayalam, emoji); alone they are
not allowed."""
_VISIBLE = rf"[^{_BLANK}{_CONTROL}{_JOINER}{_VARIANT}][{_VARIANT}]*[{_JOINER}]?"
_BEYOND = re.compile("[\U000e0000-\U000e0fff]")
_VARIANTS_BEYOND = re.compile("[\U000e0100-\U000e01ef]")
"""Characters beyond the BMP, where a pattern of ECMA 262 needs another notation: a line may contain no tags, and
variation selectors as those above."""
_ATOM = r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"

_PATTERNS: Mapping[int, str] = {
    policy_pb2.FORMAT_UNSPECIFIED: NO_NUL,
    policy_pb2.FORMAT_ASCII: r"^[ -~]*$",
    policy_pb2.FORMAT_LINE: rf"^([{_BLANK}]*{_VISIBLE}([{_BLANK}]|{_VISIBLE})*)?$",
    policy_pb2.FORMAT_EMAIL: rf"^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*$",
    policy_pb2.FORMAT_CURRENCY: f"^({'|'.join(sorted(DECIMALS))})$",
}
_WORDS: Mapping[int, str] = {
    policy_pb2.FORMAT_UNSPECIFIED: "{} characters",
    policy_pb2.FORMAT_ASCII: "{} printable ASCII characters",
    policy_pb2.FORMAT_LINE: "one visible line of {} characters",
    policy_pb2.FORMAT_EMAIL: "an email address",
    policy_pb2.FORMAT_CURRENCY: "the code of a currency (ISO 4217), such as EUR",
}
_LONGEST_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1; JSON Schema's format "email" has this limit, too
_ANY_LENGTH = 2**31
_ANY_INTEGER = (-(2**63), 2**64)
_TEXT = ("min_length", "max_length", "format", "pattern")
_ITEMS = ("min_items", "max_items")


@cache
def policy_of(field: FieldDescriptor) -> FieldPolicy:
    """Reads a field's limits. Raises ValueError for limits that its type cannot have."""
    # A foreign descriptor may be in a pool of its own, which does not know Souk's extensions.
    options = descriptor_pb2.FieldOptions.FromString(field.GetOptions().SerializeToString())
    policy: FieldPolicy = options.Extensions[policy_pb2.field]
    if wrong := _misplaced(policy, field):
        raise ValueError(f"{field.full_name} cannot have {wrong}")
    return policy


def _misplaced(policy: FieldPolicy, field: FieldDescriptor) -> str:
    given = {found.name for found, _ in policy.ListFields()}
    allowed = {"message"}
    if field.type == FieldDescriptor.TYPE_STRING:
        allowed.update(_TEXT)
    if field.type in INTEGER_RANGES:
        allowed.update(("minimum", "maximum"))
    if field.is_repeated:
        allowed.update(_ITEMS)
    if policy.pattern and policy.format:
        return "both a format and a pattern"
    if policy.pattern and not (policy.pattern.startswith("^") and policy.pattern.endswith("$")):
        return "a pattern without ^ and $"
    return ", ".join(sorted(given - allowed))


def counted(policy: FieldPolicy) -> tuple[int, int] | None:
    """Returns the fewest and the most items of a repeated field; None if their number is not limited."""
    if not policy.min_items and not policy.max_items:
        return None
    return policy.min_items, policy.max_items or _ANY_LENGTH


def test_of(policy: FieldPolicy) -> Fits | None:
    """Returns the test whether one value of a field is within its limits; None if it has no limits."""
    given = {found.name for found, _ in policy.ListFields()}
    if given & {"minimum", "maximum"}:
        low, high = _range(policy)
        return lambda number: low <= number <= high
    return _text_test(policy) if given & {*_TEXT} else None


def _range(policy: FieldPolicy) -> tuple[int, int]:
    low = policy.minimum if policy.HasField("minimum") else _ANY_INTEGER[0]
    return low, policy.maximum if policy.HasField("maximum") else _ANY_INTEGER[1]


def _text_test(policy: FieldPolicy) -> Fits:
    low, high = policy.min_length, policy.max_length or _ANY_LENGTH
    if not policy.pattern and not policy.format:
        return lambda text: low <= len(text) <= high and "\0" not in text
    matches = re.compile(_pattern(policy)).fullmatch
    # The length is tested first, so that the pattern never runs over a text that is too long.
    if policy.format == policy_pb2.FORMAT_EMAIL:
        return lambda text: low <= len(text) <= high and bool(matches(text)) and text.find("@") <= _LONGEST_LOCAL_PART
    if policy.format == policy_pb2.FORMAT_LINE:
        return lambda text: low <= len(text) <= high and (_is_plain(text) or matches(_within(text)) is not None)
    return lambda text: low <= len(text) <= high and matches(text) is not None


def _is_plain(text: str) -> bool:
    """Whether a text is visible ASCII, and so certainly a line; this saves the slow pattern."""
    return text.isascii() and text.isprintable() and not text.isspace()


def _within(text: str) -> str:
    """Returns the text with characters beyond the BMP replaced by ones that the pattern of a line knows.

    Variation selectors become one of the BMP; tags become a control character, which no line may contain.
    """
    if not _BEYOND.search(text):
        return text
    shown = _VARIANTS_BEYOND.sub("\ufe00", text)
    return _BEYOND.sub("\0", shown)


def _pattern(policy: FieldPolicy) -> str:
    return policy.pattern or _PATTERNS[policy.format]


def in_words(policy: FieldPolicy) -> str:
    """Returns the text of a violation by one value."""
    if policy.message:
        return policy.message
    if policy.HasField("minimum") or policy.HasField("maximum"):
        return f"must be {_span(*_range(policy), *_ANY_INTEGER)}"
    if policy.format != policy_pb2.FORMAT_EMAIL and not policy.max_length and policy.min_length == 1:
        return "must not be empty"
    return "must be " + _WORDS[policy.format].format(_span(policy.min_length, policy.max_length or _ANY_LENGTH, 0))


def items_in_words(policy: FieldPolicy) -> str:
    """Returns the text of a violation by the number of items."""
    return f"must hold {_span(policy.min_items, policy.max_items or _ANY_LENGTH, 0)} items"


def _span(low: int, high: int, least: int, most: int = _ANY_LENGTH) -> str:
    if low == least:
        return f"at most {high}"
    return f"at least {low}" if high == most else f"{low} to {high}"


def keywords(policy: FieldPolicy, field: FieldDescriptor) -> dict[str, Any]:
    """Returns the limits of one value as JSON Schema's keywords; they also exclude U+0000 from text."""
    if field.type in INTEGER_RANGES:
        low, high = INTEGER_RANGES[field.type]
        narrow = _range(policy)
        return {"minimum": max(low, narrow[0]), "maximum": min(high, narrow[1])}
    if field.type != FieldDescriptor.TYPE_STRING:
        return {}
    found: dict[str, Any] = {"pattern": _pattern(policy)}
    if policy.min_length:
        found["minLength"] = policy.min_length
    if policy.max_length:
        found["maxLength"] = policy.max_length
    if policy.format == policy_pb2.FORMAT_EMAIL:
        found["format"] = "email"
    return found


def items_keywords(policy: FieldPolicy) -> dict[str, int]:
    """Returns the limits of a repeated field's length as JSON Schema's keywords."""
    limits = {"minItems": policy.min_items, "maxItems": policy.max_items}
    return {name: limit for name, limit in limits.items() if limit}
