"""The colours of lines in charts: each can be told from the others in both themes, whatever one's colour vision."""

import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import combinations, product
from math import dist

import pytest

from souk.console.opening import PACKAGE
from souk.console.telemetry.queries.metric_series import MOST_LINES

STATIC = files(PACKAGE) / "static"
LIGHT, DARK = (STATIC / "telemetry.css").read_text().split("@media (prefers-color-scheme: dark)", 1)
LIGHT_CARD, DARK_CARD = re.findall(
    r"--card: (#[0-9a-f]{6});", (files("souk.gateway") / "assets" / "shared" / "scales.css").read_text()
)
VISIONS = {
    # Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009.
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "deutan": ((0.3673, 0.8607, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "tritan": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
}
Matrix = Sequence[Sequence[float]]


def times(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def palette(css: str) -> list[str]:
    return re.findall(r"--c\d: (#[0-9a-f]{6});", css)


def linear(colour: str) -> list[float]:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]


def contrast(one: str, other: str) -> float:
    low, high = sorted(times([(0.2126, 0.7152, 0.0722)], linear(colour))[0] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: Sequence[float]) -> list[float]:
    """Ottosson, "A perceptual color space for image processing", 2020."""
    clipped = [min(max(one, 0.0), 1.0) for one in rgb]
    lms = times(((0.41222, 0.53633, 0.05145), (0.2119, 0.6807, 0.1074), (0.0883, 0.28172, 0.62998)), clipped)
    roots = [one ** (1 / 3) for one in lms]
    return times(((0.21045, 0.79362, -0.00407), (1.978, -2.42859, 0.45059), (0.0259, 0.78277, -0.80868)), roots)


@pytest.mark.parametrize(("css", "card"), [(LIGHT, LIGHT_CARD), (DARK, DARK_CARD)], ids=["light", "dark"])
def test_lines_are_told_apart(css: str, card: str) -> None:
    colours = palette(css)
    assert len(colours) == 7
    assert min(contrast(one, card) for one in colours) >= 3, "WCAG 2.2, 1.4.11"
    for (name, seen), (one, other) in product(VISIONS.items(), combinations(colours, 2)):
        apart = dist(oklab(times(seen, linear(one))), oklab(times(seen, linear(other))))
        assert apart > 0.12, (name, one, other)


def test_every_line_of_a_chart_has_its_own_colour_and_dash() -> None:
    script = (STATIC / "metrics.js").read_text()
    dashes, length = re.search(r"DASHES = \[(.*)\];", script), re.search(r"length: (\d)", script)
    assert dashes
    assert length
    assert len(palette(LIGHT)) == len(palette(DARK)) == int(length[1])
    assert int(length[1]) * dashes[1].count("[") >= MOST_LINES
