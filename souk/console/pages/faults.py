"""Faults on purpose: a button for every fault point of the sagas, and for each service a kill, and calls that are slow
or fail, with what came of it beside."""

from collections import defaultdict
from typing import Any

from google.protobuf.json_format import MessageToDict
from soukapi.v1 import faults_pb2, fleet_pb2, sagas_pb2

from souk.admin.documents import breaker_state
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.faults import CODES

MOST_DIGITS = 6
_WORDS = {
    "do": "its call",
    "recorded": "its result is recorded",
    "undo": "the call of its undo",
    "undone": "its undo is recorded",
    "delivered": "a message is taken",
}


def faults_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        return await _shown(control)

    async def act(asked: PageRequest) -> ShownPage:
        if "seconds" in asked.form:
            return await _inject(control, asked)
        service, name = asked.given("service"), asked.given("name")
        if not service:
            raise PageRefused("the form must name a service")
        request = faults_pb2.ArmFaultPointRequest(service=service, name=name, operator=asked.operator.subject)
        process = await control.arm_fault(request)
        when = f"the next time that it passes {name}" if name else "now"
        return await _shown(control, f"{process} dies {when}")

    return ConsolePage("faults", "Faults", show, act, group="Work")


async def _inject(control: ControlSocket, asked: PageRequest) -> ShownPage:
    request = faults_pb2.InjectCallFaultRequest(
        service=asked.given("service"),
        delay=_number(asked, "delay") / 1_000,
        code=asked.given("code"),
        share=_number(asked, "share") / 100,
        seconds=_number(asked, "seconds"),
        operator=asked.operator.subject,
    )
    done = await control.inject_call_fault(request)
    what = (
        f"calls go wrong on purpose for {request.seconds:g} seconds" if request.seconds else "calls are as always again"
    )
    notice = f"{', '.join(done.processes)}: {what}"
    if done.silent:
        notice += f"; {', '.join(done.silent)} did not answer, and take calls as always"
    return await _shown(control, notice)


def _number(asked: PageRequest, name: str) -> float:
    text = asked.given(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise PageRefused(f"{name} is {text!r}, which is no whole number")
    return float(text)


async def _around(control: ControlSocket) -> dict[str, list[str]]:
    """Returns the breakers that are not closed, in words, by who is called."""
    found = defaultdict[str, list[str]](list)
    for one in (await control.breakers()).breakers:
        if one.state != fleet_pb2.BREAKER_STATE_CLOSED:
            method = f"/{one.method}" if one.method else ""
            found[one.callee].append(f"{one.caller} → {one.callee}{method} in {one.process}: {breaker_state(one)}")
    return found


async def _shown(control: ControlSocket, notice: str = "") -> ShownPage:
    found = await control.fault_points()
    around = await _around(control)
    processes = (await control.processes()).processes
    stuck = await control.saga_runs(sagas_pb2.ListSagaRunsRequest(state="open", limit=20))
    sagas: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in found.points:
        if one.name:
            saga, *rest = one.name.split("/")
            sagas[one.service, saga].append({"name": one.name, "armed": one.armed, "text": _text(rest)})
    values = {
        "allowed": found.allowed,
        "services": sorted({one.service for one in found.points}),
        "sagas": sagas,
        "processes": [one for one in processes if one.pid or one.restarts],
        "open": stuck.runs,
        "together": any(one.kind == fleet_pb2.PROCESS_KIND_SYSTEM for one in processes),
        "silent": found.silent,
        "codes": CODES,
        "injected": [
            (one, one.since.ToMicroseconds(), one.until.ToMicroseconds(), around.get(one.service, ()))
            for one in found.injected
        ],
    }
    data: dict[str, Any] = MessageToDict(
        found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    data["breakers_not_closed"] = dict(around)
    return ShownPage("faults.html", "Faults", data, values, notice)


def _text(parts: list[str]) -> str:
    """Says where a point is: `reserve stock/do/before` is "reserve stock: before its call"."""
    if len(parts) == 3:
        step, what, when = parts
        return f"{step}: {when} {_WORDS.get(what, what)}"
    return " ".join(reversed(parts)).replace("started", "the run is recorded")
