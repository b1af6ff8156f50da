"""What users read has no phrase that a stranger would have to read twice."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/*.md", "examples/*/README.md", "tests/cli/snapshots/*.txt")
CONTRACTS = ("contracts/shop/**/*.proto", "contracts/soukapi/**/*.proto")
PROGRAMS = ("souk/**/*.py", "marketplace/**/*.py", "tools/*.py")
BANNED = re.compile(
    r"unless (it is |they are )?(said|told)|the telling|\bis another than\b|wrong in itself|on this side|a sane one"
    r"|\bis no (HTTP|backup|database|field|URL|token)\b|is there already|come to its end|turned over"
    r"|\bsay (another|with)\b|written down",
    re.IGNORECASE,
)


def _files(patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def _literals(path: Path) -> Iterator[str]:
    """The texts of a program, without docstrings."""
    tree = ast.parse(path.read_text())
    quiet = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in quiet:
            yield node.value


@pytest.mark.parametrize("kind", [PAGES, CONTRACTS], ids=["pages", "contracts"])
def test_pages_and_contracts(kind: tuple[str, ...]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}" for path in _files(kind) for match in BANNED.finditer(path.read_text())
    ]
    assert _files(kind)
    assert found == []


def test_messages_of_programs() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text!r}"
        for path in _files(PROGRAMS)
        if "testing" not in path.parts
        for text in _literals(path)
        if BANNED.search(text)
    ]
    assert found == []
