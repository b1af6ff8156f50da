"""What a user reads has none of the phrases that only their writer understood."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ = (
    "README.md",
    "docs/*.md",
    "contracts/shop/**/*.proto",
    "tests/cli/snapshots/*.txt",
    "souk/**/*.py",
    "marketplace/**/*.py",
    "tools/*.py",
)
REFUSED = (
    "unless said",
    "unless it is told",
    "unless they are told",
    "ends the telling",
    "the buyer saw",
    "one `.eml` file a letter",
    "is there twice",
    "is there already",
    "for want of",
    "turned over",
    "in the midst of",
    "is left alone for now",
    "a new wish",
    "no token of ours",
    "with every right",
    "must be said",
)


@pytest.mark.parametrize("phrase", REFUSED)
def test_no_private_phrase_is_left(phrase: str) -> None:
    pattern = re.compile(r"\s+".join(map(re.escape, phrase.split())))
    found = [str(path.relative_to(ROOT)) for path, text in _texts.items() if pattern.search(text)]
    assert not found, f"{phrase!r} says too little to a stranger; CONTRIBUTING.md has the words to use"


_texts = {
    path: path.read_text(encoding="utf-8")
    for pattern in READ
    for path in ROOT.glob(pattern)
    if "gen" not in path.relative_to(ROOT).parts
}
