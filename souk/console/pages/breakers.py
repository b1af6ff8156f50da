"""The circuit breakers of every process, and the forms that set them, as `souk breakers` does."""

from typing import Any

from soukapi.v1 import fleet_pb2

from souk.admin.documents import breaker_document, breaker_state
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.breaker_bands import BreakerHistory, breaker_history, key_of
from souk.console.pages.telemetry.source import TelemetrySource
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.clock import MICROSECONDS

MODES = {
    "open": ("Open", fleet_pb2.BREAKER_MODE_FORCED_OPEN, "are forced open: every call is refused"),
    "closed": ("Close", fleet_pb2.BREAKER_MODE_CLOSED, "are closed, and judge calls from now on"),
    "auto": ("Automatic", fleet_pb2.BREAKER_MODE_AUTO, "judge calls by themselves again"),
}
"""What an operator can do: its button, its mode, and what is said afterwards."""
_LOCKED_OUT = (
    "the console asks {0} who you are: with that breaker open nobody could come back here to undo it. Name another "
    "caller, or open it with `souk breakers --force {0}=open`, which needs no login"
)
_TONES = {
    fleet_pb2.BREAKER_STATE_CLOSED: "good",
    fleet_pb2.BREAKER_STATE_OPEN: "bad",
    fleet_pb2.BREAKER_STATE_FORCED_OPEN: "bad",
    fleet_pb2.BREAKER_STATE_HALF_OPEN: "warn",
}


def breakers_page(
    control: ControlSocket, source: TelemetrySource | None = None, login_service: str = ""
) -> ConsolePage:
    """Makes the page. `login_service` is asked who an operator is: the breakers that keep the gateway from it are not
    opened here, since nobody could come back to undo it."""

    async def show(asked: PageRequest) -> ShownPage:
        found = await control.breakers()
        return _shown(asked, found, await breaker_history(source, found.breakers, asked.now))

    async def act(asked: PageRequest) -> ShownPage:
        callee, caller, mode, why = (asked.given(name) for name in ("callee", "caller", "mode", "why"))
        if mode not in MODES or not callee:
            raise PageRefused("the form must name whose breakers are meant, and what they are to do")
        if not why:
            raise PageRefused("say why: it is kept, and shown beside the breakers while they stay so")
        if mode == "open" and callee == login_service and caller in ("", GATEWAY_SERVICE):
            raise PageRefused(_LOCKED_OUT.format(callee), 409)
        request = fleet_pb2.SetBreakerRequest(
            callee=callee, caller=caller, mode=MODES[mode][1], operator=asked.operator.subject, why=why
        )
        changed = await control.set_breaker(request)
        found = await control.breakers()
        notice = f"{len(changed.breakers)} around {callee} {MODES[mode][2]}"
        if changed.silent:
            notice += f"; {', '.join(changed.silent)} did not answer, and follow as soon as they do"
        history = await breaker_history(source, found.breakers, asked.now)
        return _shown(asked, found, history, notice, failed=bool(changed.silent))

    return ConsolePage("breakers", "Breakers", show, act)


def _shown(
    asked: PageRequest,
    found: fleet_pb2.ListBreakersResponse,
    history: BreakerHistory,
    notice: str = "",
    *,
    failed: bool = False,
) -> ShownPage:
    breakers, silent = found.breakers, found.silent
    rows = [_row(one, asked.now) | {"bands": history.bands(key_of(one))} for one in breakers]
    gone = history.spells.keys() - {key_of(one) for one in breakers}
    values = {
        "breakers": rows,
        "silent": silent,
        "open": sum(row["tone"] == "bad" for row in rows),
        "callees": sorted({one.callee for one in breakers}),
        "callers": sorted({one.caller for one in breakers}),
        "modes": MODES,
        "history": history,
        "gone": [(key, history.bands(key)) for key in sorted(gone)],
    }
    document: dict[str, Any] = {"breakers": [breaker_document(one) for one in breakers], "silent": list(silent)}
    document["history"] = history.document
    return ShownPage("breakers.html", "Breakers", document, values, notice, failed)


def _row(one: fleet_pb2.BreakerStatus, now: int) -> dict[str, object]:
    until = one.until.ToMicroseconds() if one.HasField("until") else None
    return {
        "breaker": one,
        "state": breaker_state(one),
        "tone": _TONES.get(one.state, "off"),
        "rate": one.failure_rate if one.HasField("failure_rate") else None,
        "since": one.since.ToMicroseconds(),
        "left": None if until is None else max(0.0, (until - now) / MICROSECONDS),
    }
