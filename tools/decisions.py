"""Writes docs/decisions/README.md: every decision by its title.

python tools/decisions.py [check]     check: fails when the index is not what the pages give
"""

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "decisions"
INDEX = FOLDER / "README.md"
INTRODUCTION = """# Decisions

One page for each thing that a newcomer would question: the choice, what was refused, what it costs.
`make decisions` writes this index.
"""


def index() -> str:
    """Makes the text of the index."""
    lines = []
    for page in sorted(FOLDER.glob("[0-9]*.md")):
        title = re.sub(r"^# [0-9]+[.:]? *", "", page.read_text("utf-8").splitlines()[0])
        lines.append(f"- [{page.name[:4]}]({page.name}) {title[:1].upper()}{title[1:]}")
    return "\n".join((INTRODUCTION, *lines, ""))


def main() -> int:
    """Writes or checks the index; returns the exit status."""
    if sys.argv[1:] == ["check"]:
        if INDEX.read_text("utf-8") == index():
            return 0
        print("docs/decisions/README.md is not what its pages give (run `make decisions`)", file=sys.stderr)
        return 1
    INDEX.write_text(index(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
