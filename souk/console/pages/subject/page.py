"""The page of a subject: it reads the records of services and the spans of its runs, and shows them as of a moment."""

from collections.abc import Sequence
from dataclasses import asdict

from soukapi.v1 import records_pb2, sagas_pb2

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.subject.axis import axis_of, scale_of
from souk.console.pages.subject.entries import Entry, entries_of, states_at
from souk.console.pages.subject.time_scale import STEPS, AxisWindow, TimeScale
from souk.console.pages.subject.traces import SubjectTraces, subject_traces, trace_id_of
from souk.console.pages.telemetry.source import TelemetrySource
from souk.runtime.service import Subject

_MOST_RUNS = 50
_LONGEST_TIME = 17


def subject_page(control: ControlSocket, source: TelemetrySource, subject: Subject) -> ConsolePage:
    """Makes the page of the subjects of one kind."""

    async def show(asked: PageRequest) -> ShownPage:
        name = asked.values["id"]
        runs = await _runs(control, name)
        keys = [f"{name}:{run.attempt}:{step.name.replace(' ', '-')}" for run in runs for step in run.steps]
        found = await control.records(records_pb2.ReadRecordsRequest(subject=name, keys=keys))
        acted = await control.saga_actions(sagas_pb2.ListSagaActionsRequest(subject=name))
        entries = entries_of(found, runs, acted)
        if not entries and not found.failed:
            raise PageRefused(f"no service has recorded anything about {name}", 404)
        traces = await subject_traces(source, runs)
        view = asked.asked("view")
        whole = _window("", runs, entries, traces)
        scale = scale_of(entries, traces, _window(view, runs, entries, traces), whole.first)
        at = _moment(asked, scale)
        states = states_at(entries, at)
        values = {
            "subject": name,
            "entries": [(one, one.at <= at) for one in entries],
            "at": at,
            "steps": STEPS,
            "first": whole.first,
            "axis": axis_of(entries, traces, scale, at) if entries else None,
            "states": states,
            "traces": traces,
            "runs": runs,
            "view": view,
            "failed_services": dict(found.failed),
        }
        data = {
            "subject": name,
            "as_of": at,
            "states": [asdict(one) for one in states],
            "records": [asdict(one) for one in entries],
            "spans": traces.document,
            "failed": dict(found.failed),
        }
        return ShownPage("subject.html", f"{subject.name} {name}", data, values)

    return ConsolePage(f"{subject.path}/{{id}}", "", show)


async def _runs(control: ControlSocket, name: str) -> list[sagas_pb2.SagaRun]:
    request = sagas_pb2.ListSagaRunsRequest(state="all", text=name, limit=_MOST_RUNS, changes=True)
    return [run for run in (await control.saga_runs(request)).runs if run.subject == name]


def _window(
    view: str, runs: Sequence[sagas_pb2.SagaRun], entries: Sequence[Entry], traces: SubjectTraces
) -> AxisWindow:
    """Returns the time that is shown: all of it, or that of the run `view` with its trace."""
    if not view:
        shown, ends = entries, list(traces.traces.values())
        moments = [one.at for one in shown] + [end for one in ends for end in (one.tree.began, one.tree.ended)]
        return AxisWindow(min(moments, default=0), max(moments, default=0))
    run = next((one for one in runs if one.id == view), None)
    if run is None:
        raise PageRefused(f"there is no run {view!r} of it", 404)
    moments = [run.started_at.ToMicroseconds(), run.changed_at.ToMicroseconds()]
    trace = traces.traces.get(trace_id_of(run.traceparent))
    if trace is not None:
        moments += [trace.tree.began, trace.tree.ended]
    return AxisWindow(min(moments), max(moments))


def _moment(asked: PageRequest, scale: TimeScale) -> int:
    """Returns the moment that is asked for, by its time or by its position on the axis; the last one if none is."""
    text, position = asked.asked("at"), asked.asked("position")
    if text:
        if not _is_number(text):
            raise PageRefused(f"{text!r} is no time: it must be microseconds since 1970")
        return int(text)
    if position:
        if not _is_number(position):
            raise PageRefused(f"{position!r} is no position on the axis: it must be a number from 0 to {STEPS}")
        return scale.moment(int(position))
    return scale.window.last


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIME
