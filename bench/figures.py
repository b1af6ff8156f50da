"""The figures of a run, what each is compared with, and the table that shows them."""

import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: `value` in `unit`, and what it is compared with.

    `against` names the peer or the limit, and `ratio` is the figure divided by that. `aim` is the goal of the
    figure, and `reached` tells whether it was reached.
    """

    what: str
    value: float
    unit: str
    against: str = ""
    ratio: float | None = None
    aim: str = ""
    reached: bool | None = None


@dataclass(slots=True)
class Section:
    """The figures of one part of the run. `details` are shown only in the JSON."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, *figures: Figure) -> None:
        """Appends figures."""
        self.figures.extend(figures)


def at_least(aim: float, value: float, text: str) -> dict[str, Any]:
    """Gives the fields `aim` and `reached` of a figure that should be at least `aim`."""
    return {"aim": f"at least {text}", "reached": value >= aim}


def below(aim: float, value: float, text: str) -> dict[str, Any]:
    """Gives the fields `aim` and `reached` of a figure that should be below `aim`."""
    return {"aim": f"below {text}", "reached": value < aim}


def median(values: Iterable[float]) -> float:
    """Gives the median of values."""
    return statistics.median(values)


def progress(text: str) -> None:
    """Prints a line about what is being measured, on standard error."""
    print(f"  ... {text}", file=sys.stderr, flush=True)


def as_json(sections: Iterable[Section]) -> list[dict[str, Any]]:
    """Gives all sections as JSON values, for `--json`."""
    return [asdict(section) for section in sections]


_HEAD = ("what", "measured", "ratio", "beside", "aim", "")


def table(sections: Iterable[Section]) -> str:
    """Makes one table with a line for each figure; GitHub renders it, and a terminal shows it aligned."""
    rows = [_row(figure) for section in sections for figure in section.figures]
    widths = [max(len(row[column]) for row in (_HEAD, *rows)) for column in range(len(_HEAD))]
    lines = [_line(_HEAD, widths), _line(tuple("-" * width for width in widths), widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    verdict = {None: "", True: "reached", False: "short"}[figure.reached]
    return (figure.what, f"{_number(figure.value)} {figure.unit}", ratio, figure.against, figure.aim, verdict)


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
