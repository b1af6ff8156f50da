"""The index of decisions names every page, and no number stands twice."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def test_the_index_names_every_page() -> None:
    command = [sys.executable, str(ROOT / "tools" / "decisions.py"), "check"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_number_stands_twice() -> None:
    numbers = Counter(page.name[:4] for page in PAGES)
    assert {number: count for number, count in numbers.items() if count > 1} == {}
