"""The page for people in a real browser: it can be read, on a small screen too, filtered, and used by keyboard."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from souk.testing.system import embedded
from tests.engines.browser.scripts import found_by

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("docs page")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a marketplace's page."""
    with embedded(tmp_path_factory.mktemp("market")) as system:
        yield system.url


@pytest.fixture(scope="module")
def found(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser's test of the page reports."""
    return found_by("inspect.mjs", url, tmp_path_factory.mktemp("browser"))


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


def test_a_request_is_tried_from_the_page_by_nobody_and_by_a_demo_account(found: dict[str, Any]) -> None:
    tried = found["tried"]
    assert tried["nobody"].startswith("401 "), tried["nobody"]
    assert "Log in at the top of the page" in tried["nobody"]
    assert tried["caller"] == "Logged in as demo@souk.test."
    assert tried["order"].startswith("201 Created after "), tried["order"]
    assert '"status": "CONFIRMED"' in tried["order"]
    assert tried["again"].startswith("201 ")
    assert tried["id"] in tried["again"], "the same key is another order"
    assert "idempotent-replayed: true" in tried["again"]
    assert tried["read"].startswith("200 ")
    assert tried["id"] in tried["read"]
    assert tried["found"].startswith("200 ")
    assert tried["gone"].startswith("401 "), "a token outlives the logout"
    assert tried["wrong"].startswith("401: "), tried["wrong"]
    assert tried["violations"] == []


def test_a_browser_is_led_to_the_page_and_shown_an_error(found: dict[str, Any]) -> None:
    assert found["others"]["landed"] == "/docs"
    assert json.loads(found["others"]["text"])["code"] == "ROUTE_NOT_FOUND"


def test_no_other_host_is_asked_and_the_console_is_silent(url: str, found: dict[str, Any]) -> None:
    assert found["noise"] == []
    assert [request for request in found["requests"] if not request.startswith(f"{url}/")] == []
