"""The page for people in a real browser: it can be read, on a small screen too, filtered, and used by keyboard."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from souk.testing.engines import engine_path
from souk.testing.system import embedded
from tests.examples.node import packages_of

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("docs page")]
TOOLS = Path(__file__).resolve().parents[2] / "engines" / "browser"
PATIENCE = 300.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a marketplace's page."""
    with embedded(tmp_path_factory.mktemp("market")) as system:
        yield system.url


@pytest.fixture(scope="module")
def found(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser's test of the page reports."""
    browser, packages = engine_path("chromium"), packages_of(TOOLS)
    folder = tmp_path_factory.mktemp("browser")
    (folder / "node_modules").symlink_to(packages)
    shutil.copy(TOOLS / "inspect.mjs", folder)
    command = ("node", "inspect.mjs", browser, url, str(folder))
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_of_it_meets_the_rules_of_wcag_in_light_and_dark(found: dict[str, Any]) -> None:
    """WCAG 2.2 AA as axe-core checks it, contrast of every text and link (1.4.3) with everything opened."""
    assert len(found["layouts"]) == 6
    for layout in found["layouts"]:
        assert layout["compared"] > 1_000, "the contrast of its text was not computed"
        assert (layout["violations"], layout["undecided"]) == ([], []), (layout["colorScheme"], layout["width"])


def test_nothing_is_wider_than_the_window(found: dict[str, Any]) -> None:
    for layout in found["layouts"]:
        assert layout["wide"] == {"page": 0, "nodes": []}, (layout["colorScheme"], layout["width"])


def test_the_filter_leaves_what_has_all_words_and_no_empty_section(found: dict[str, Any]) -> None:
    everything, code, words, nothing = (
        found["filtered"][typed] for typed in ("", "OUT_OF_STOCK", "wallet top", "no-such-word")
    )
    assert {"order", "Schemas", "Codes"} <= set(everything["sections"])
    assert everything["status"] == ""
    for typed, left in (("out_of_stock", code), ("wallet top", words)):
        assert 0 < len(left["entries"]) < len(everything["entries"])
        assert all(word in entry for entry in left["entries"] for word in typed.split())
        assert 0 < len(left["sections"]) < len(everything["sections"])
        assert left["empty"] == []
        assert left["status"] == f"{len(left['entries'])} of {len(everything['entries'])} match"
    assert (nothing["sections"], nothing["entries"], nothing["status"]) == ([], [], "Nothing matches")


def test_everything_is_reached_by_keyboard_and_can_be_seen_to_be(found: dict[str, Any]) -> None:
    keyboard = found["keyboard"]
    assert keyboard["wanted"] > 50
    assert keyboard["reached"] == list(range(keyboard["wanted"]))
    assert keyboard["unseen"] == []
    assert keyboard["opened"], "Enter opens no entry"


def test_a_link_leads_to_what_it_names_whatever_the_filter_hides(found: dict[str, Any]) -> None:
    assert found["fragments"] == {"code": True, "schema": True, "shown": True}


def test_a_browser_is_led_to_the_page_and_shown_an_error(found: dict[str, Any]) -> None:
    assert found["others"]["landed"] == "/docs"
    assert json.loads(found["others"]["text"])["code"] == "ROUTE_NOT_FOUND"


def test_no_other_host_is_asked_and_the_console_is_silent(url: str, found: dict[str, Any]) -> None:
    assert found["noise"] == []
    assert [request for request in found["requests"] if not request.startswith(f"{url}/")] == []
