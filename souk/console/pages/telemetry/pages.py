"""All pages of what was gathered."""

from collections.abc import Sequence

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage
from souk.console.pages.telemetry.calls import Promises, calls_page
from souk.console.pages.telemetry.comparing import comparison_page
from souk.console.pages.telemetry.logs import logs_page
from souk.console.pages.telemetry.metrics import metrics_page
from souk.console.pages.telemetry.runs import compared_runs_page, runs_page
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.pages.telemetry.trace import trace_page
from souk.console.pages.telemetry.traces import traces_page
from souk.console.telemetry.gathering.opening import Telemetry
from souk.console.telemetry.queries.telemetry_reader import TelemetryReader


def source_of(telemetry: Telemetry) -> TelemetrySource:
    """Gives what the pages of a gateway read from."""
    return TelemetrySource(telemetry, TelemetryReader(telemetry.file, telemetry.clock))


def telemetry_pages(control: ControlSocket, source: TelemetrySource, promises: Promises) -> Sequence[ConsolePage]:
    """Makes the pages."""
    return [
        traces_page(source),
        comparison_page(source),  # before the page of one trace, whose path fits its path, too
        trace_page(source),
        calls_page(source, promises),
        metrics_page(source),
        logs_page(control),
        runs_page(source),
        compared_runs_page(source),
    ]
