"""A class has a name of its own, and names are made of the field's words."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BANNED = frozenset(
    {"place", "places", "told", "said", "heard", "seen", "look", "looks", "looked"}
    | {"ground", "grounds", "door", "doors", "front", "fronts", "whoever"}
)
"""Words that meant many things at once here; see docs/glossary.md for those that are used instead."""

ALLOWED = {
    ("souk/testing/rpc/probe.py", "seen"): "a field of probe.proto",
    ("souk/testing/rpc/end_suite.py", "seen"): "a field of probe.proto",
    ("souk/testing/rpc/suite.py", "seen"): "a field of probe.proto",
    ("marketplace/app/walk.py", "said"): "a field of what `souk order --json` prints",
}
"""Names that others read, so they stay: file and name, and why."""

CODE = ("souk", "marketplace", "tools", "bench", "examples", "engines")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def programs(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.stem.endswith(("_pb2", "_pb2_grpc")) and not _is_foreign(path.relative_to(ROOT))
    ]


def _is_foreign(path: Path) -> bool:
    """Whether a file came with a package or is in a cache, such as the other engines that benches install."""
    return "node_modules" in path.parts or any(part.startswith(".") for part in path.parts)


def banned_in(name: str) -> bool:
    """Whether a name uses such a word; an order is placed, as everywhere."""
    words = [word.lower() for word in _WORD.findall(name)]
    of_orders = {at for at, after in enumerate(words[1:]) if words[at] == "place" and after in {"order", "orders"}}
    return any(word in BANNED for at, word in enumerate(words) if at not in of_orders)


def names_in(text: str) -> Iterator[tuple[str, int]]:
    """Every identifier with its line. Tests of a suite are named by sentences, which may have any word."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and not token.string.startswith("test_"):
            yield token.string, token.start[0]


def test_class_names_are_unique_in_souk() -> None:
    found = defaultdict(list)
    for path in programs("souk"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_no_name_uses_a_word_that_meant_many_things() -> None:
    used, found = set(), []
    for path in programs(*CODE):
        file = str(path.relative_to(ROOT))
        for name, line in names_in(path.read_text()):
            if banned_in(name):
                used.add((file, name))
                if (file, name) not in ALLOWED:
                    found.append(f"{file}:{line}: {name}")
    assert found == []
    assert ALLOWED.keys() == used, "an exception that nothing needs any more"


def test_no_module_is_named_by_one() -> None:
    assert [str(path.relative_to(ROOT)) for path in programs(*CODE) if banned_in(path.stem)] == []


def test_what_is_a_banned_name() -> None:
    names = ("told", "_place_of", "FIRST_LOOK", "Grounds", "is_seen", "whoever", "replaced", "background", "PlaceOrder")
    assert [name for name in names if banned_in(name)] == [
        "told",
        "_place_of",
        "FIRST_LOOK",
        "Grounds",
        "is_seen",
        "whoever",
    ]
