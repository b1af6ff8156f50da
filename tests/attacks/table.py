"""Writes the table of docs/attacks.md from the corpus.

.venv/bin/python -m tests.attacks.table
"""

from pathlib import Path

from tests.attacks.corpus.answers import ANSWER_PARTS
from tests.attacks.corpus.http2 import HTTP2_PARTS
from tests.attacks.corpus.http2_answers import HTTP2_ANSWER_PARTS
from tests.attacks.corpus.requests import PARTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"
MARK = "<!-- From here on: tests/attacks/table.py -->\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def table() -> str:
    """Gives the text from the mark to the end of the page."""
    lines = [MARK]
    for title, rows in (*PARTS.items(), *HTTP2_PARTS.items(), *ANSWER_PARTS.items(), *HTTP2_ANSWER_PARTS.items()):
        lines += [f"\n### {title}\n", "| what is sent | source | what becomes of it |\n|---|---|---|\n"]
        lines += [f"| {_cell(row.name)} | {row.source} | {_cell(row.outcome)} |\n" for row in rows]
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + table())
