"""The map: the system's services, engines and what is outside it, and who calls whom, with breakers where they are."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from soukapi.v1 import fleet_pb2

from souk.admin.documents import breaker_state, process_note
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRequest, ShownPage
from souk.console.pages.engines import ENGINES, engine_edges
from souk.console.pages.telemetry.calls import EdgeFigures
from souk.console.pages.telemetry.engine_use import EnginesNow

_KIND = "PROCESS_KIND_"
_OUTSIDE = "outside"
_TONES = ("off", "good", "warn", "bad")
"""From the least to the most urgent."""
_STATES = {
    fleet_pb2.BREAKER_STATE_OPEN: "bad",
    fleet_pb2.BREAKER_STATE_FORCED_OPEN: "bad",
    fleet_pb2.BREAKER_STATE_HALF_OPEN: "warn",
}
_NO_BREAKER: dict[str, Any] = {
    "breakers": "", "guarded": False, "promise": "", "calls": 0, "refused": 0, "method": False,
}  # fmt: skip
_NOTHING: Mapping[str, str] = MappingProxyType({})
_DELIVER = "Deliver"
"""The method by which events reach a consumer without a broker."""


def map_page(
    control: ControlSocket, figures: EdgeFigures, engines: EnginesNow, emulated: Mapping[str, str] = _NOTHING
) -> ConsolePage:
    """Makes the page; `figures` and `engines` give those of the last minute.

    `emulated` says by what name services call what an emulator stands for: both are one box.
    """

    async def show(asked: PageRequest) -> ShownPage:
        processes, breakers = await control.processes(), await control.breakers()
        now, unknown = await figures(asked.now)
        edges = _edges(breakers.breakers, now)
        for edge in edges:
            _measure(edge, now.get((edge["caller"], edge["callee"])))
        edges = _merged(edges, engine_edges(processes.processes, await engines(asked.now)))
        nodes = _nodes(processes.processes, edges, emulated)
        graph = {"nodes": nodes, "edges": edges, "silent": list(breakers.silent), "unknown": unknown}
        wrong = [one for one in (*nodes, *edges) if one["tone"] == "bad"]
        return ShownPage("map.html", "Map", graph, {"graph": graph, "wrong": len(wrong), "silent": breakers.silent})

    return ConsolePage("", "Map", show)


def _measure(edge: dict[str, Any], found: Mapping[str, Any] | None) -> None:
    """Adds the calls of the last minute to an edge, which is bad if they break what the contracts promise."""
    edge["breakers"] = edge["tone"] if edge["guarded"] else ""
    edge["rate"], edge["failures"], edge["p50"], edge["p99"], edge["promise"] = 0.0, 0.0, None, None, ""
    if found is not None:
        edge |= {name: found[name] for name in ("rate", "failures", "p50", "p99")} | {"promise": found["tone"]}
        edge["tone"] = max(edge["tone"], found["tone"], key=_TONES.index)


def _merged(calls: list[dict[str, Any]], asked: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds edges to engines. One that has a breaker, too, is one edge: its figures are those of the spans."""
    known = {(edge["caller"], edge["callee"]): edge for edge in calls}
    for edge in asked:
        found = known.setdefault((edge["caller"], edge["callee"]), {**_NO_BREAKER, **edge})
        found["tone"] = max(found["tone"], edge["tone"], key=_TONES.index)
        if not found["engine"]:
            found |= {name: edge[name] for name in ("rate", "failures", "p50", "p99", "notes", "engine")}
    return sorted(known.values(), key=lambda edge: (edge["caller"], edge["callee"]))


def _nodes(
    processes: Iterable[fleet_pb2.FleetProcess], edges: Iterable[dict[str, Any]], emulated: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Gives a node for each service, and for each name that is called and runs nowhere here."""
    found: dict[str, dict[str, Any]] = {}
    for one in processes:
        kind = fleet_pb2.ProcessKind.Name(one.kind).removeprefix(_KIND).lower()
        name = emulated.get(one.service, one.service)
        start = {"name": name, "kind": kind, "ready": 0, "instances": 0, "tone": "off", "notes": []}
        node = found.setdefault(name, start)
        if name != one.service:
            node["notes"].append(f"{one.instance} stands for it")
        node["instances"] += one.state != "stopped"
        node["ready"] += one.state == "ready"
        node["tone"] = max(node["tone"], _tone(one), key=_TONES.index)
        if note := process_note(one):
            node["notes"].append(f"{one.instance}: {note}")
    together = any(node["kind"] == "system" for node in found.values())
    for name in sorted({edge[end] for edge in edges for end in ("caller", "callee")} - found.keys()):
        # In a system of one process its services are names of callers; what never calls is outside.
        inside = together and any(edge["caller"] == name or edge["method"] for edge in edges if name in edge.values())
        kind = "engine" if name in ENGINES else "service" if inside else _OUTSIDE
        kind, inside = ("gateway" if inside and name == "gateway" else kind), inside or kind == "engine"
        about: dict[str, Any] = {
            "ready": int(inside),
            "instances": int(inside),
            "tone": "good" if inside else "off",
            "notes": [],
        }
        found[name] = {"name": name, "kind": kind, **about}
    return list(found.values())


def _tone(one: fleet_pb2.FleetProcess) -> str:
    if one.state in ("failed", "backing off"):
        return "bad"
    if one.state == "stopped":
        return "off"
    return "good" if one.state == "ready" and not process_note(one) else "warn"


def _edges(breakers: Iterable[fleet_pb2.BreakerStatus], called: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Gives an edge for each pair of a caller and a callee, with the worst state of its breakers.

    Those that have `called` without one are here, too: calls through a sidecar have no breaker in the caller.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in breakers:
        start = _edge(one.caller, one.callee) | {"guarded": True, "method": bool(one.method), "events": True}
        edge = found.setdefault((one.caller, one.callee), start)
        edge["calls"] += one.calls
        edge["refused"] += one.refused
        edge["events"] = edge["events"] and one.method == _DELIVER
        tone = _STATES.get(one.state, "good")
        if tone != "good":
            edge["open"].append(f"{one.method or 'all methods'} in {one.process}: {breaker_state(one)}")
        edge["tone"] = max(edge["tone"], tone, key=_TONES.index)
    for pair in called:
        found.setdefault(pair, _edge(*pair))
    return sorted(found.values(), key=lambda edge: (edge["caller"], edge["callee"]))


def _edge(caller: str, callee: str) -> dict[str, Any]:
    edge: dict[str, Any] = {"caller": caller, "callee": callee, "tone": "good", "open": [], "notes": []}
    return {**_NO_BREAKER, **edge, "events": False, "engine": False}
