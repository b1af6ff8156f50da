"""No name of ours that somebody else may have on the public index is ever required."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "souk-"
PROJECTS = sorted(
    ROOT / folder / "pyproject.toml"
    for folder in (".", "contracts", "clients/python", *(path.parent for path in ROOT.glob("marketplace/*/*.toml")))
)
INSTALLS = re.compile(r"pip install((?:\s+(?:-\S+|'[^'\n]+'|\"[^\"\n]+\"|[\w./*\[\]=-]+))+)")


def third_parties() -> frozenset[str]:
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    return frozenset(canonicalize_name(line.partition("==")[0]) for line in pinned)


def requirements(path: Path) -> Iterator[str]:
    document = tomllib.loads(path.read_text())
    yield from document["build-system"]["requires"]
    yield from document["project"]["dependencies"]
    for extra in document["project"].get("optional-dependencies", {}).values():
        yield from extra


def required(texts: Iterator[str] | list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in texts}


OURS = frozenset(tomllib.loads(path.read_text())["project"]["name"] for path in PROJECTS)


def test_every_distribution_of_ours_has_the_prefix() -> None:
    assert len(OURS) == len(PROJECTS)
    assert [name for name in OURS if not name.startswith(PREFIX)] == []


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_distribution_requires_pinned_ones_and_ours(path: Path) -> None:
    assert required(requirements(path)) <= third_parties() | OURS


def texts() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in ("docs", "souk", "marketplace", "tools", "engines", "examples"):
        for pattern in ("*.md", "*.py"):
            yield from (path for path in (ROOT / folder).rglob(pattern) if "node_modules" not in path.parts)


def installed_by_name(text: str) -> Iterator[str]:
    for found in INSTALLS.findall(text):
        for word in found.split():
            bare = word.strip("'\"")
            if not bare.startswith("-") and "/" not in bare:
                yield bare


def test_wherever_we_say_pip_install_the_names_are_pinned_or_ours() -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(strange)
        for path in texts()
        if (strange := required(list(installed_by_name(path.read_text()))) - third_parties() - OURS)
    }
    assert wrong == {}


def test_the_readme_says_how_to_install_it() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "pip install dist/souk_*.whl" in readme
    assert set(installed_by_name(readme)) & {"souk-platform[postgres]", "souk-platform[fleet]"}
