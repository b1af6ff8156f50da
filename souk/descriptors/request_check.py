"""Checks whether a request is within the limits of its contract; compiled once for each message type.

It runs in the called service, before the handler, so that it holds for every caller, not only for the
gateway. What limits cannot express (duplicates, sums, references to things that do not exist) is left to the
service. The content of maps is not checked, nor are the messages of a client's stream.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from souk.descriptors.contract import Method
from souk.descriptors.limits import Fits, counted, in_words, items_in_words, policy_of, test_of
from souk.descriptors.protojson.names import map_entry
from souk.descriptors.protojson.walk import MAX_VIOLATIONS
from souk.kernel.errors import InvalidArgument, Violation


def decoder_of(method: Method) -> Callable[[bytes], Message]:
    """Returns the function that decodes and checks the method's requests.

    It raises InvalidArgument for octets that are no such message, and with every violation of the limits.
    """
    parse = method.input.FromString
    check = _check_of(cast(Descriptor, method.input.DESCRIPTOR))
    message_name = method.input.DESCRIPTOR.full_name

    def decode(encoded: bytes) -> Message:
        try:
            message = parse(encoded)
        except DecodeError:
            raise InvalidArgument([Violation("request", f"cannot be read as {message_name}")]) from None
        if not check.trivial:
            check.require(message)
        return message

    return decode


def require_within_limits(request: Message) -> None:
    """Raises InvalidArgument unless the request is within its limits; for requests that did not arrive by a call."""
    _check_of(cast(Descriptor, request.DESCRIPTOR)).require(request)


@cache
def _check_of(message: Descriptor) -> "_Check":
    check = _Check()
    check.compile(message, {message.full_name: check})
    return check


class _Check:
    """The limits of one message: of its single values, its lists, and the messages in it."""

    __slots__ = ("_lists", "_messages", "_values", "trivial")

    def __init__(self) -> None:
        self._values: list[tuple[str, bool, Fits, str]] = []
        self._lists: list[_List] = []
        self._messages: list[tuple[str, _Check]] = []
        self.trivial = False

    def compile(self, message: Descriptor, known: "dict[str, _Check]") -> None:
        """Reads the limits of the fields; not in the constructor, because a message may contain itself."""
        for field in message.fields:
            policy = policy_of(field)
            test, nested = test_of(policy), _nested(field, known)
            if field.is_repeated:
                of_items = _List(field.name, counted(policy), items_in_words(policy), test, in_words(policy), nested)
                if of_items.limited:
                    self._lists.append(of_items)
            elif test is not None:
                self._values.append((field.name, field.has_presence, test, in_words(policy)))
            elif nested is not None:
                self._messages.append((field.name, nested))
        self.trivial = not (self._values or self._lists or self._messages)

    def require(self, message: Message) -> None:
        """Raises InvalidArgument with every violation."""
        found: list[Violation] = []
        self.collect(message, "", found)
        if found:
            raise InvalidArgument(found[:MAX_VIOLATIONS])

    def collect(self, message: Message, prefix: str, found: list[Violation]) -> None:
        """Adds the violations to `found`; `prefix` goes before the names of the fields."""
        for name, optional, fits, detail in self._values:
            if not fits(getattr(message, name)) and not (optional and not message.HasField(name)):
                found.append(Violation(prefix + name, detail))
        for of_items in self._lists:
            of_items.collect(getattr(message, of_items.name), prefix, found)
        for name, nested in self._messages:
            if message.HasField(name):
                nested.collect(getattr(message, name), f"{prefix}{name}.", found)


class _List:
    """The limits of one repeated field. Items are checked only if their number is within the limits."""

    __slots__ = ("_count", "_count_detail", "_detail", "_fits", "_nested", "limited", "name")

    def __init__(
        self,
        name: str,
        count: tuple[int, int] | None,
        count_detail: str,
        fits: Fits | None,
        detail: str,
        nested: _Check | None,
    ) -> None:
        self.name, self._count, self._count_detail = name, count, count_detail
        self._fits, self._detail, self._nested = fits, detail, nested
        self.limited = not (count is None and fits is None and nested is None)

    def collect(self, items: Any, prefix: str, found: list[Violation]) -> None:
        """Adds the violation by the number of items, or else those by each item, to `found`."""
        if self._count is not None and not self._count[0] <= len(items) <= self._count[1]:
            found.append(Violation(prefix + self.name, self._count_detail))
        elif self._nested is not None:
            self._collect_nested(self._nested, items, prefix, found)
        elif self._fits is not None:
            wrong = (index for index, item in enumerate(items) if not self._fits(item))
            for index, _ in zip(wrong, range(MAX_VIOLATIONS), strict=False):
                found.append(Violation(f"{prefix}{self.name}[{index}]", self._detail))

    def _collect_nested(self, nested: _Check, items: Any, prefix: str, found: list[Violation]) -> None:
        for index, item in enumerate(items):
            nested.collect(item, f"{prefix}{self.name}[{index}].", found)
            if len(found) >= MAX_VIOLATIONS:
                break


def _nested(field: FieldDescriptor, known: dict[str, _Check]) -> _Check | None:
    message = field.message_type
    if message is None or map_entry(field) is not None:
        return None
    if message.full_name not in known:
        known[message.full_name] = check = _Check()
        check.compile(message, known)
    found = known[message.full_name]
    return None if found.trivial else found
