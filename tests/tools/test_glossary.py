"""Every term of the glossary stands in the code under the name that the glossary gives."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
_NAME = re.compile(r"`([A-Za-z_]\w*)`")
pytestmark = pytest.mark.xdist_group("the code")  # is parsed once


def rows() -> list[list[str]]:
    """The cells of every term: term, meaning, in the code, elsewhere."""
    lines = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [each for each in cells if each[0] != "term"]


@cache
def identifiers() -> frozenset[str]:
    """What souk and the marketplace define: modules, folders, classes, functions, arguments, fields, constants."""
    found: set[str] = set()
    for path in (path for top in ("souk", "marketplace") for path in (ROOT / top).rglob("*.py")):
        found |= {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return frozenset(found)


def _banned() -> frozenset[str]:
    spec = importlib.util.spec_from_file_location("names_rules", Path(__file__).with_name("test_names.py"))
    assert spec is not None
    assert spec.loader is not None
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    return frozenset(rules.BANNED)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_term_stands_in_the_code(row: list[str]) -> None:
    assert len(row) == 4, "term, meaning, in the code, elsewhere"
    term, meaning, names = row[0], row[1], _NAME.findall(row[2])
    assert names, "a term without a name in the code"
    assert [name for name in names if name not in identifiers()] == []
    assert meaning.endswith(".")
    assert not _banned().intersection(term.split())


def test_a_term_is_explained_once() -> None:
    terms = [row[0] for row in rows()]
    assert sorted(set(terms)) == sorted(terms)
