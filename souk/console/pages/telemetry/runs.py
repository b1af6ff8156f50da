"""The runs of the system, each start of it with a name; and two of them side by side."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.telemetry.queries.run_figures import MethodFigures, RunFigures, read_run
from souk.console.telemetry.queries.runs import list_runs
from souk.kernel.clock import MICROSECONDS

SLOWER, AT_LEAST = 1.5, 0.005
"""By what factor, and by how many seconds, 99 % must differ to be called slower or faster."""
MORE = 0.01
"""The part of calls by which more must fail to be called worse."""
TONES = {"slower": "bad", "fails more": "bad", "faster": "good", "fails less": "good", "new": "warn", "missing": "warn"}
_NONE = MethodFigures()


@dataclass(frozen=True, slots=True)
class MethodChange:
    """A method in two runs; `difference` is what the second is beside the first, in a word, empty for alike."""

    service: str
    method: str
    first: MethodFigures
    second: MethodFigures
    difference: str

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        both = {"first": self.first.document, "second": self.second.document}
        return {"service": self.service, "method": self.method, "difference": self.difference, **both}


def runs_page(source: TelemetrySource) -> ConsolePage:
    """Makes the page of the list."""

    async def show(asked: PageRequest) -> ShownPage:
        found, lost = await source.ask(list_runs)
        return source.shown("runs.html", "Runs", found, {"runs": found}, lost)

    return ConsolePage("runs", "Runs", show, group="Telemetry")


def compared_runs_page(source: TelemetrySource) -> ConsolePage:
    """Makes the page of two runs."""

    async def show(asked: PageRequest) -> ShownPage:
        names = [one.strip() for one in asked.query.get("run", ()) if one.strip()]
        if len(names) != 2:
            raise PageRefused(f"two runs are compared, and {len(names)} were chosen: choose two in the list of runs")

        def question(connection: sqlite3.Connection) -> tuple[RunFigures, RunFigures]:
            return _run(connection, names[0]), _run(connection, names[1])

        (first, second), lost = await source.ask(question)
        rows = compare_runs(first, second)
        sagas = [
            (saga, first.sagas.get(saga, (0, 0)), second.sagas.get(saga, (0, 0)))
            for saga in sorted({*first.sagas, *second.sagas})
        ]
        values = {"first": first, "second": second, "rows": [(one, TONES.get(one.difference, "off")) for one in rows]}
        document = {
            "first": _about(first),
            "second": _about(second),
            "methods": [one.document for one in rows],
            "sagas": [
                {"saga": saga, "first": _outcomes(before), "second": _outcomes(after)} for saga, before, after in sagas
            ],
        }
        return source.shown("run_comparison.html", "Two runs", document, values | {"sagas": sagas}, lost)

    return ConsolePage("runs/compare", "", show)


def compare_runs(first: RunFigures, second: RunFigures) -> Sequence[MethodChange]:
    """Compares every method of two runs, those that differ first."""
    found = []
    for service, method in sorted({*first.methods, *second.methods}):
        before = first.methods.get((service, method), _NONE)
        after = second.methods.get((service, method), _NONE)
        found.append(MethodChange(service, method, before, after, _difference(before, after)))
    return sorted(found, key=lambda one: list(TONES).index(one.difference) if one.difference else len(TONES))


def _difference(before: MethodFigures, after: MethodFigures) -> str:
    if not before.calls or not after.calls:
        return "new" if after.calls else "missing"
    if abs(after.failing - before.failing) >= MORE:
        return "fails more" if after.failing > before.failing else "fails less"
    old, new = before.p99, after.p99
    if old is None or new is None or abs(new - old) < AT_LEAST or max(old, new) < SLOWER * min(old, new):
        return ""
    return "slower" if new > old else "faster"


def _run(connection: sqlite3.Connection, name: str) -> RunFigures:
    found = read_run(connection, name)
    if found is None:
        raise PageRefused(f"there is no run {name!r}: nothing of it is kept any more; choose two in the list", 404)
    return found


def _about(run: RunFigures) -> dict[str, object]:
    return {"name": run.name, "began": run.began, "seconds": (run.last - run.began) / MICROSECONDS}


def _outcomes(counts: tuple[int, int]) -> dict[str, int]:
    return {"went_through": counts[0], "turned_back": counts[1]}
