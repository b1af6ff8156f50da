"""One run of a saga: its facts, its steps with their tries, what operators did with it, and what they can do."""

from soukapi.v1 import sagas_pb2 as pb

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.sagas.runs import ACTIONS, TONES, document, outcome, preview, wish

_STEP_TONES = {"done": "good", "parked": "bad", "undo_parked": "bad", "refused": "warn", "undone": "off"}


def saga_page(control: ControlSocket) -> ConsolePage:
    """Makes the page of a run."""

    async def show(asked: PageRequest) -> ShownPage:
        return await _shown(control, asked)

    async def act(asked: PageRequest) -> ShownPage:
        request = wish(asked, [asked.values["id"]])
        if not asked.given("sure"):
            return await preview(control, request, asked)
        notice, failed = outcome((await control.act_on_sagas(request)).effects)
        return await _shown(control, asked, notice, failed=failed)

    return ConsolePage("sagas/{id}", "", show, act)


async def _shown(control: ControlSocket, asked: PageRequest, notice: str = "", *, failed: bool = False) -> ShownPage:
    run_id = asked.values["id"]
    if run_id.count(":") < 2 or not run_id.rpartition(":")[2].isdigit():
        raise PageRefused(f"{run_id!r} is not the id of a run, which reads SAGA:SUBJECT:ATTEMPT", 404)
    found = await control.saga_runs(pb.ListSagaRunsRequest(state="all", ids=[run_id]))
    if not found.runs:
        silent = f", unless it is one of {', '.join(found.silent)}, which do not answer" if found.silent else ""
        raise PageRefused(f"there is no run {run_id}{silent}", 404)
    run = found.runs[0]
    acted = await control.saga_actions(pb.ListSagaActionsRequest(service=run.service, subject=run.subject))
    actions = [one for one in acted.actions if one.id == run_id]
    values = {
        "run": run,
        "tone": TONES.get(run.state, "off"),
        "steps": [(step, _STEP_TONES.get(step.state, "off"), step.changed_at.ToMicroseconds()) for step in run.steps],
        "times": {
            "Began": run.started_at.ToMicroseconds(),
            "Changed": run.changed_at.ToMicroseconds(),
            "Deadline of the pivot": run.deadline_at.ToMicroseconds(),
        },
        "trace_id": run.traceparent.split("-")[1] if run.traceparent.count("-") == 3 else "",
        "acted": [(one, one.at.ToMicroseconds()) for one in actions],
        "actions": {} if run.state in ("completed", "compensated") else ACTIONS,
        "parked": [step.name for step in run.steps if step.state in ("parked", "undo_parked")],
    }
    data = document(run) | {"actions": [document(one) for one in actions]}
    return ShownPage("sagas/run.html", run_id, data, values, notice, failed)
