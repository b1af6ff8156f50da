"""The page of canaries: what it shows of one, which forms it offers, and what becomes of a form."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from souk.admin.unix_socket import serving
from souk.console.page import PageRefused
from souk.kernel.clock import SystemClock
from souk.mesh.canary.operating.servicer import CONTRACT, CanaryServicer
from souk.mesh.canary.steering.controller import CanaryController
from souk.mesh.canary.steering.store import CanaryStore
from souk.runtime.data.layout import DataLayout
from tests.console.conftest import Pages
from tests.mesh.canary.model_fleet import ModelAlarms, ModelFleet, plan

PATIENCE = 120.0


@pytest.fixture
async def controller(tmp_path: Path, pages: Pages) -> AsyncIterator[CanaryController]:
    """The controller of a control plane of the system whose pages are shown."""
    fleet, clock = ModelFleet(), SystemClock()
    made = CanaryController(("payment",), CanaryStore(tmp_path), fleet, fleet, ModelAlarms(fleet), clock)
    async with (
        made.running(),
        serving(DataLayout(tmp_path).control_plane, {CONTRACT: CanaryServicer(made)}, clock),
    ):
        yield made


async def until(controller: CanaryController, *states: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while str(controller.run_of("payment").record.state) not in states:
            await asyncio.sleep(0.01)


async def test_without_a_canary_or_a_mesh_it_says_how_to_begin(pages: Pages) -> None:
    shown = await pages.ask("canaries")
    assert shown.document == {"canaries": []}
    assert "souk canary start SERVICE --version VERSION" in pages.text(shown)


async def test_a_canary_is_shown_with_its_decisions_and_ended_by_a_form(
    pages: Pages, controller: CanaryController
) -> None:
    await controller.start(plan(), "<ann>")
    await until(controller, "stepping", "holding")
    shown = await pages.ask("canaries")
    text = pages.text(shown)
    assert "1 canary is under way" in text
    assert "payment v2 stepping with 10% of the calls, step 1 of 3" in text
    assert "p99>1.5x" in text
    assert "<ann>" not in pages.html(shown)
    assert [one["event"] for one in shown.document["canaries"][0]["decisions"]] == ["begun", "ready"]
    assert [word in text for word in ("Promote", "Pause", "Abort", "Resume")] == [True, True, True, False]
    form: dict[str, Sequence[str]] = {"service": ["payment"], "action": ["abort"], "why": ["ticket 4711"]}
    ended = await pages.ask("canaries", form)
    assert ended.notice == "v2 of payment is rolled back: every call goes to the baseline"
    await until(controller, "rolled back")
    after = await pages.ask("canaries")
    assert "ticket 4711 (U-admin)" in pages.text(after)
    assert 'name="action"' not in pages.html(after)
    late = await pages.ask("canaries", {**form, "action": ["promote"]})
    assert (late.failed, late.notice) == (True, "v2 of payment is rolled back, and cannot be promoted now")


@pytest.mark.parametrize(
    "form",
    [
        {"service": ["payment"], "action": ["abort"]},
        {"service": ["payment"], "action": ["explode"], "why": ["x"]},
        {"action": ["abort"], "why": ["x"]},
    ],
)
async def test_a_form_that_lacks_something_is_refused(pages: Pages, form: dict[str, Sequence[str]]) -> None:
    with pytest.raises(PageRefused):
        await pages.ask("canaries", form)
