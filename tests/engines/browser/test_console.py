"""The console in a real browser, over a real fleet: an order arrives, Payment dies, a parked sale is mended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from souk.testing.system import System, fleet
from tests.engines.browser.busy_market import BusyMarket, make_busy
from tests.engines.browser.scripts import found_by
from tests.market.shop import Shop

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("console in a browser")]
SETTINGS = {"SOUK_ORDER_SAGA_DEADLINE": "300"}
"""A busy machine may take its time to start a process again; no saga is turned back meanwhile."""
STEPS = ("reserve stock", "charge payment", "confirm order", "commit stock")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with fleet(tmp_path_factory.mktemp("fleet"), settings=SETTINGS) as system:
        yield system
        assert set(system.stop()) == {0}, system.output()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def used(system: System, folder: Path) -> dict[str, Any]:
    """What an operator saw of a marketplace that had just been started."""
    return found_by("console.mjs", system.url, folder, "journey,keyboard")


@pytest.fixture(scope="module")
def market(system: System, used: dict[str, Any]) -> BusyMarket:
    return make_busy(system)


@pytest.fixture(scope="module")
def judged(system: System, folder: Path, market: BusyMarket) -> dict[str, Any]:
    """What is to be said of every page of a marketplace in which things have happened."""
    return found_by("console.mjs", system.url, folder, "pages", market.given())


@pytest.fixture(scope="module")
def mended(system: System, folder: Path, market: BusyMarket, judged: dict[str, Any]) -> dict[str, Any]:
    """What an operator saw who tried the parked sale again, once there was a piece."""
    shop = Shop("fleet", system.url, system.data)
    shop.receive(market.product, 1)
    shop.close()
    return found_by("console.mjs", system.url, folder, "mending", market.given())


def test_an_order_arrives_on_the_map_and_is_opened(used: dict[str, Any]) -> None:
    seen = used["journey"]["arrival"]
    assert seen["before"] == 0, "the edge was there before the order"
    assert seen["placed"]["status"] == 201
    assert float(seen["row"]["Calls/s"]) > 0
    assert seen["drawn"] >= 1
    assert seen["title"] == f"Order {seen['placed']['body']['id']}"
    records = "\n".join(seen["records"])
    for what in ("OrderConfirmed", "charge payment", "bank"):
        assert what in records


def test_payment_dies_in_the_middle_of_a_charge_and_the_saga_goes_on(used: dict[str, Any]) -> None:
    seen = used["journey"]["crash"]
    assert seen["said"].endswith("dies now")
    assert seen["said"].startswith("payment")
    assert seen["answer"]["status"] in (201, 202)
    assert seen["status"] == "CONFIRMED"
    assert seen["steps"]["state"] == "completed"
    assert {seen["steps"][step]["State"] for step in STEPS} == {"done"}
    assert int(seen["steps"]["charge payment"]["Tries"]) > 1, "it did not die in the middle of the charge"


def test_a_saga_survives_its_process_which_dies_at_a_fault_point(used: dict[str, Any]) -> None:
    seen = used["journey"]["point"]
    assert "dies the next time that it passes place-order/charge payment/do/after" in seen["said"]
    assert seen["armed"] == "armed"
    assert seen["status"] == "CONFIRMED"
    assert seen["restarted"] == 1
    assert seen["steps"]["state"] == "completed"
    assert {seen["steps"][step]["State"] for step in STEPS} == {"done"}


def test_the_invariants_stay_green(used: dict[str, Any]) -> None:
    shown = used["journey"]["invariants"]
    assert len(shown) == 6
    assert [text for text, tag in shown if "good" not in tag.split()] == []


def test_a_breaker_is_forced_and_undone(used: dict[str, Any]) -> None:
    opened, undone = (used["journey"]["breaker"][which] for which in ("opened", "undone"))
    assert "forced open" in opened["said"]
    assert set(opened["states"]) == {"forced open"}
    assert opened["answer"] == 503
    assert "judge calls by themselves again" in undone["said"]
    assert set(undone["states"]) == {"closed"}
    assert undone["answer"] == 200


def test_all_of_it_by_keyboard_alone(used: dict[str, Any]) -> None:
    seen = used["keyboard"]
    assert seen["skipped"] == {"first": "Skip to the content", "inside": True}
    assert seen["breaker"]["chosen"] == "product"
    assert set(seen["breaker"]["opened"]["states"]) == {"forced open"}
    assert set(seen["breaker"]["undone"]["states"]) == {"closed"}
    assert seen["slider"]["before"]["later"] == 0
    assert seen["slider"]["after"]["later"] > 5
    assert seen["slider"]["after"]["asOf"] < seen["slider"]["before"]["asOf"]
    assert seen["unseen"] == [], "these have the focus, and do not show it"


def test_every_page_meets_the_rules_of_wcag(judged: dict[str, Any]) -> None:
    """WCAG 2.2 AA as axe-core checks it, dark and light, wide and narrow."""
    names = {page["name"] for page in judged["pages"]}
    assert names >= {"map", "traces", "calls", "metrics", "logs", "breakers", "invariants", "sagas", "parked", "events"}
    assert len(judged["pages"]) == 4 * len(names)
    found = {
        (page["name"], page["colorScheme"], page["width"]): page["violations"] + page["undecided"]
        for page in judged["pages"]
    }
    assert {where: against for where, against in found.items() if against} == {}
    assert [page["name"] for page in judged["pages"] if not page["compared"]] == [], "no contrast was computed"


def test_no_page_is_wider_than_the_window(judged: dict[str, Any]) -> None:
    wide = {(page["name"], page["width"]): page["wide"] for page in judged["pages"]}
    assert {where: found for where, found in wide.items() if found != {"page": 0, "nodes": []}} == {}


def test_no_page_is_wider_than_a_window_between_those(judged: dict[str, Any]) -> None:
    pages = [(page["name"], page["between"]) for page in judged["pages"] if page["between"]]
    assert {name: found for name, found in pages if any(one != {"page": 0, "nodes": []} for one in found)} == {}
    assert pages


def test_the_labels_of_the_map_can_be_read(judged: dict[str, Any]) -> None:
    maps = {(page["width"], page["colorScheme"]): page["covered"] for page in judged["pages"] if page["name"] == "map"}
    assert len(maps) == 4
    assert {where: found for where, found in maps.items() if found} == {}


def test_a_parked_sale_is_tried_again(mended: dict[str, Any]) -> None:
    seen = mended["mending"]
    assert seen["listed"]["State"] == "parked"
    assert "OUT_OF_STOCK" in seen["listed"]["Why"]
    assert seen["preview"].startswith("1 of 1 would change")
    assert "tries again: commit stock" in seen["said"]
    assert seen["state"] == "completed"
    assert any("retry" in action and "a piece has arrived" in action for action in seen["actions"])


def test_nothing_is_loaded_from_elsewhere_and_the_browser_has_no_complaint(
    system: System, used: dict[str, Any], judged: dict[str, Any], mended: dict[str, Any]
) -> None:
    for found in (used, judged, mended):
        assert found["noise"] == []
        assert [one for one in found["requests"] if not one.startswith((f"{system.url}/", "data:"))] == []
