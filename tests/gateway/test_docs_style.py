"""The page for people can be read: contrast as WCAG 2.2 asks for (1.4.3), in light and dark, and on a small screen."""

import re
from importlib.resources import files

import pytest

CSS = files("souk.gateway").joinpath("assets", "docs.css").read_text("utf-8")
SCALES = files("souk.gateway").joinpath("assets", "shared", "scales.css").read_text("utf-8")
SCRIPT = files("souk.gateway").joinpath("assets", "docs.js").read_text("utf-8")
ENOUGH = 4.5
LIGHT, _, DARK = SCALES.partition("@media (prefers-color-scheme: dark)")


def colours(scheme: str) -> dict[str, str]:
    own = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})\b", scheme))
    return {**dict(re.findall(r"--(\w+): (#[0-9a-f]{6})\b", LIGHT)), **own}


def luminance(colour: str) -> float:
    channels = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["text", "link", "quiet"])
def test_what_is_written_stands_out(scheme: str, name: str) -> None:
    known = colours(scheme)
    for behind in ("page", "card", "sunk"):
        assert contrast(known[name], known[behind]) >= ENOUGH, behind


def test_sizes_are_those_of_the_scales() -> None:
    sizes = re.findall(r"(?:font-size|margin|padding|gap): ([^;}]+)", CSS)
    own = [one for one in sizes if re.search(r"\d(rem|px)", re.sub(r"var\(--[ts]\d\)", "", one))]
    assert own == []


def test_white_on_the_verbs_stands_out() -> None:
    backgrounds = re.findall(r"background: (#[0-9a-f]{6}|#[0-9a-f]{3})\b", CSS)
    assert len(backgrounds) == 5
    assert min(contrast("#ffffff", colour) for colour in backgrounds) >= ENOUGH


def test_nothing_is_made_quiet_by_opacity() -> None:
    assert "opacity" not in CSS, "its contrast cannot be computed"


def test_links_have_the_colour_that_was_computed() -> None:
    assert "a { color: var(--link); }" in CSS


def test_tables_are_blocks_on_a_small_screen() -> None:
    small = CSS.partition("@media (max-width: 40rem)")[2]
    assert re.search(r"table, [^{]*td[^{]*\{ display: block; width: 100%; white-space: normal; \}", small)


def test_a_section_without_anything_left_is_hidden() -> None:
    assert "section.hidden = !found.some" in SCRIPT
