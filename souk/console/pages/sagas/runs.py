"""The list of runs, with what operators do to several at once: first a preview of what would become of each."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from soukapi.v1 import sagas_pb2 as pb

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.sagas.choosing import ABOUT, FIELDS, VIEWS, wanted
from souk.saga.operator.actions import RunAction

ACTIONS = {
    RunAction.RETRY: "Retry: parked steps are tried again, their tries counted from zero",
    RunAction.COMPENSATE: "Compensate: before the pivot, turn back and undo what was done",
    RunAction.RESOLVE: "Resolve: take a parked step as done, or its undo as undone, because you have seen to it",
    RunAction.PAUSE: "Pause: do not drive it until it is resumed",
    RunAction.RESUME: "Resume: let a paused run go on",
}
TONES = {"parked": "bad", "paused": "warn", "going back": "warn", "completed": "good", "compensated": "off"}
PAST = frozenset({"done", "refused", "not_sent", "undone"})


def sagas_page(control: ControlSocket) -> ConsolePage:
    """Makes the page of the list."""

    async def show(asked: PageRequest) -> ShownPage:
        return await _listed(control, asked)

    async def act(asked: PageRequest) -> ShownPage:
        request = wish(asked, asked.form.get("id", ()))
        if not asked.given("sure"):
            return await preview(control, request, asked)
        notice, failed = outcome((await control.act_on_sagas(request)).effects)
        return await _listed(control, asked, notice, failed=failed)

    return ConsolePage("sagas", "Sagas", show, act, group="Work")


def wish(asked: PageRequest, ids: Sequence[str]) -> pb.ActOnSagaRunsRequest:
    """Reads what an operator wants of runs. Raises PageRefused, with what is missing."""
    action, why = asked.given("action"), asked.given("why")
    if action not in set(RunAction):
        raise PageRefused("choose what is to be done")
    if not ids:
        raise PageRefused("choose at least one run")
    if not why:
        raise PageRefused("say why: it is recorded with the run, and shown in its history")
    step = asked.given("step")
    return pb.ActOnSagaRunsRequest(action=action, ids=ids, step=step, operator=asked.operator.subject, why=why)


async def preview(control: ControlSocket, request: pb.ActOnSagaRunsRequest, asked: PageRequest) -> ShownPage:
    """Shows what would become of each run, and a form that has it done."""
    request.preview = True
    effects = (await control.act_on_sagas(request)).effects
    values = {"effects": effects, "request": request, "count": sum(one.changed for one in effects)}
    title = f"{request.action.capitalize()}: what would be done"
    return ShownPage("sagas/preview.html", title, [document(one) for one in effects], values)


def outcome(effects: Sequence[pb.SagaRunEffect]) -> tuple[str, bool]:
    """Says what was done in a line, and whether something was refused."""
    changed, refused = sum(one.changed for one in effects), [one for one in effects if one.refused]
    text = f"{changed} of {len(effects)} changed"
    if len(effects) == 1:
        text = effects[0].text
    elif refused:
        text += f"; {len(refused)} refused, the first: {refused[0].id}: {refused[0].text}"
    return text, bool(refused)


def document(message: Any) -> dict[str, Any]:
    """Gives a message as JSON, as `souk saga --json` does."""
    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


async def _listed(control: ControlSocket, asked: PageRequest, notice: str = "", *, failed: bool = False) -> ShownPage:
    request = wanted(asked)
    found = await control.saga_runs(request)
    filters = {name: asked.asked(name) for name in (*FIELDS, "older")}
    values = {
        "runs": [_row(run) for run in found.runs],
        "more": found.more,
        "silent": found.silent,
        "state": request.state,
        "about": ABOUT[request.state],
        "views": VIEWS,
        "filters": filters,
        "filtered": any(filters.values()),
        "actions": ACTIONS,
    }
    data = {"runs": [document(run) for run in found.runs], "more": found.more, "silent": list(found.silent)}
    return ShownPage("sagas/list.html", "Sagas", data, values, notice, failed)


def _row(run: pb.SagaRun) -> dict[str, Any]:
    last = next((step for step in reversed(run.steps) if step.state not in PAST), None)
    return {
        "run": run,
        "tone": TONES.get(run.state, "off"),
        "at": last,
        "why": run.reason or (last.note if last else ""),
        "started": run.started_at.ToMicroseconds(),
        "changed": run.changed_at.ToMicroseconds(),
    }
