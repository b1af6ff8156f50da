"""Reads the nodes of a YAML file, and collects everything that is wrong with its line and column.

Scalars are taken as they are written: `method: GET` and `value: 1` are texts where a text is wanted, and the words
that YAML 1.1 makes booleans (`on`, `no`) stay words.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import yaml

from souk.gateway.routing.model import Finding
from souk.kernel.suggest import nearest

T = TypeVar("T")
Parse = Callable[[yaml.Node], T]

MOST_NODES = 100_000
_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class NodeReader:
    """Reads values from nodes. What is wrong is kept in `findings`, and a default is given in its place."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._visited = 0

    @contextmanager
    def composing(self) -> Iterator[None]:
        """Keeps what is wrong with a whole text that is composed and read inside the block: it is not YAML, or too
        large."""
        try:
            yield
        except TooManyNodes:
            pass  # it is among the findings
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.findings.append(Finding(*where, f"is not YAML: {error.problem or error.context}"))
        except (yaml.YAMLError, RecursionError) as error:
            what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
            self.findings.append(Finding(1, 1, f"is not YAML: {what}"))

    def wrong(self, node: yaml.Node, text: str) -> None:
        """Keeps that this node is wrong."""
        mark = node.start_mark
        self.findings.append(Finding(mark.line + 1, mark.column + 1, text))

    def fields(self, node: yaml.Node, what: str, known: Iterable[str]) -> dict[str, yaml.Node]:
        """Gives the entries of a mapping whose keys are `known`; others, and repeated ones, are wrong."""
        names = tuple(known)
        found: dict[str, yaml.Node] = {}
        for key, value, at in self.entries(node, what):
            if key not in names:
                self.wrong(at, f"{what} has no field {key!r}{_meant(key, names)}")
            else:
                found[key] = value
        return found

    def entries(self, node: yaml.Node, what: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Gives the entries of a mapping: each key, its value, and the node of the key. Repeated keys are wrong."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} must be a mapping (key: value), not {_kind(node)}")
            return
        earlier: dict[str, int] = {}
        for at, value in node.value:
            key = self.text(at, "a key")
            if key in earlier:
                self.wrong(at, f"{key!r} is given twice; first in line {earlier[key]}")
                continue
            earlier[key] = at.start_mark.line + 1
            self._visit(value)
            yield key, value, at

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Gives the items of a list."""
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{what} must be a list, not {_kind(node)}")
            return []
        for item in node.value:
            self._visit(item)
        return list(node.value)

    def all(self, node: yaml.Node | None, what: str, parse: Parse[T]) -> tuple[T, ...]:
        """Gives every item of a list, parsed; nothing for a list that is not there."""
        return () if node is None else tuple(parse(item) for item in self.items(node, what))

    def text(self, node: yaml.Node, what: str) -> str:
        """Gives a text."""
        if not isinstance(node, yaml.ScalarNode) or (node.tag.endswith(":null") and not node.style):
            self.wrong(node, f"{what} must be a text, not {_kind(node)}")
            return ""
        return str(node.value)

    def whole(self, node: yaml.Node, what: str, least: int, most: int) -> int:
        """Gives a whole number."""
        text = self.text(node, what)
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            self.wrong(node, f"{what} must be a whole number from {least} to {most}, not {text!r}")
            return least
        return int(text)

    def flag(self, node: yaml.Node, what: str) -> bool:
        """Gives true or false."""
        return self.one_of(node, what, {"true": True, "false": False}, False)

    def one_of(self, node: yaml.Node, what: str, known: Mapping[str, T], default: T) -> T:
        """Gives the value of one of several words."""
        text = self.text(node, what)
        if text not in known:
            self.wrong(node, f"{what} must be one of {', '.join(known)}, not {text!r}{_meant(text, known)}")
        return known.get(text, default)

    def duration(self, node: yaml.Node, what: str) -> float:
        """Gives a duration in seconds, as the Gateway API writes it (GEP-2257): `10s`, `500ms`, `1m30s`."""
        text = self.text(node, what)
        if not _DURATION.fullmatch(text):
            self.wrong(node, f"{what} must be a duration such as 10s, 500ms or 1m30s, not {text!r}")
            return 0.0
        return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))

    def pattern(self, node: yaml.Node, what: str, text: str) -> "re.Pattern[str] | None":
        """Gives a compiled regular expression."""
        try:
            return re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            self.wrong(node, f"{what} is not a regular expression: {error}")
            return None

    def _visit(self, node: yaml.Node) -> None:
        # Aliases of aliases make few lines into millions of nodes.
        self._visited += 1
        if self._visited == MOST_NODES:
            self.wrong(
                node, f"the file has more than {MOST_NODES:,} entries, those that aliases repeat counted each time"
            )
        if self._visited >= MOST_NODES:
            raise TooManyNodes


class TooManyNodes(Exception):
    """Ends the reading of a file that is too large; what is wrong is among the findings."""


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "empty" if node.tag.endswith(":null") else f"{node.value!r}"


def _meant(name: str, known: Iterable[str]) -> str:
    names = list(known)
    lower = {one.lower(): one for one in names}
    found = lower.get(name.lower()) or nearest(name, names)
    return f"; did you mean {found!r}?" if found else f"; it has {', '.join(names)}" if len(names) <= 12 else ""
