"""The map: what is one thing outside is one box, whatever calls it by its name, guards it or stands for it."""

from typing import Any

import pytest
from soukapi.v1 import fleet_pb2

from souk.console.page import Operator, PageRequest
from souk.console.pages.map import map_page
from souk.console.telemetry.queries.engines import EngineCalls, EngineUse

BANK = EngineCalls("payment", "card-provider", 2.0, 0.0, 0.1, 0.2)


class Fleet:
    """Stands for the running system: Payment, with two breakers around its card provider, and maybe its emulator."""

    def __init__(self, *, emulator: bool, background: int = fleet_pb2.BREAKER_STATE_CLOSED) -> None:
        self.emulator, self.background = emulator, background

    async def processes(self) -> fleet_pb2.ListProcessesResponse:
        found = fleet_pb2.ListProcessesResponse()
        kinds = {"payment": fleet_pb2.PROCESS_KIND_SERVICE}
        if self.emulator:
            kinds["sandbox-bank"] = fleet_pb2.PROCESS_KIND_COMPANION
        for name, kind in kinds.items():
            found.processes.add(service=name, instance=name, kind=kind, state="ready")
        return found

    async def breakers(self) -> fleet_pb2.ListBreakersResponse:
        found = fleet_pb2.ListBreakersResponse()
        closed = fleet_pb2.BREAKER_STATE_CLOSED
        for method, state, calls in (("", closed, 3), ("in-background", self.background, 4)):
            found.breakers.add(caller="payment", callee="card-provider", method=method, state=state, calls=calls)
        return found


async def graph(fleet: Fleet, called: dict[Any, Any] | None = None) -> dict[str, Any]:
    async def figures(now: int) -> tuple[dict[Any, Any], str]:
        return called or {}, ""

    async def engines(now: int) -> EngineUse:
        return EngineUse(calls=[BANK])

    page = map_page(fleet, figures, engines, {"sandbox-bank": "card-provider"})  # type: ignore[arg-type]
    shown = await page.show(PageRequest("/console", {}, {}, Operator("U"), 1))
    found: dict[str, Any] = shown.document
    return found


@pytest.mark.parametrize(
    ("emulator", "kind", "notes"),
    [(True, "companion", ["sandbox-bank stands for it"]), (False, "outside", [])],
    ids=["emulated", "real"],
)
async def test_what_is_one_thing_outside_is_one_box(emulator: bool, kind: str, notes: list[str]) -> None:
    found = await graph(Fleet(emulator=emulator))
    assert [node["name"] for node in found["nodes"]] == ["payment", "card-provider"]
    assert (found["nodes"][1]["kind"], found["nodes"][1]["notes"]) == (kind, notes)
    (edge,) = found["edges"]
    assert (edge["caller"], edge["callee"], edge["rate"], edge["calls"]) == ("payment", "card-provider", 2.0, 7)


async def test_a_breaker_for_one_use_of_it_shows_on_its_line() -> None:
    (edge,) = (await graph(Fleet(emulator=True, background=fleet_pb2.BREAKER_STATE_OPEN)))["edges"]
    assert edge["tone"] == "bad"
    assert len(edge["open"]) == 1
    assert edge["open"][0].startswith("in-background in")


async def test_calls_through_a_sidecar_are_on_the_map_and_have_no_breaker() -> None:
    figures = {"rate": 1.5, "failures": 0.0, "p50": 0.01, "p99": 0.02, "tone": "good"}
    found = await graph(Fleet(emulator=True), {("order", "payment"): figures})
    edges = {(edge["caller"], edge["callee"]): edge for edge in found["edges"]}
    assert edges["order", "payment"] | {"breakers": "", "rate": 1.5, "promise": "good"} == edges["order", "payment"]
    assert edges["payment", "card-provider"]["breakers"] == "good"
