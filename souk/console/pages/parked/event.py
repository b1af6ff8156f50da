"""One event: its payload, for whom it is parked and why, what was decided, and the forms to decide about it."""

import json
from typing import Any

from soukapi.v1 import parked_pb2 as pb

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage

OUTCOMES = {
    "replay": "will be sent again",
    "edit": "will be sent again with the new payload; the one before is kept",
    "discard": "will never be sent; the event is kept",
}
_BEFORE = "payload_before"


def event_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        return await _shown(control, asked.values["id"])

    async def act(asked: PageRequest) -> ShownPage:
        request = _decision(asked)
        try:
            count = await control.decide_parked(request)
        except PageRefused as refused:
            # What was written must not be lost because of a comma.
            return await _shown(control, request.id, refused.detail, failed=True, written=request.payload)
        consumers = "one consumer" if count == 1 else f"{count} consumers"
        return await _shown(control, request.id, f"For {consumers}, it {OUTCOMES[request.decision]}")

    return ConsolePage("parked/{id}", "", show, act)


def _decision(asked: PageRequest) -> pb.DecideParkedRequest:
    decision, why = asked.given("decision"), asked.given("why")
    if decision not in OUTCOMES:
        raise PageRefused("choose what is to become of the event")
    if not why:
        raise PageRefused("say why: it is kept with the event")
    return pb.DecideParkedRequest(
        id=asked.values["id"],
        consumer=asked.given("consumer"),
        decision=decision,
        payload=asked.given("payload"),
        operator=asked.operator.subject,
        why=why,
    )


async def _shown(
    control: ControlSocket, event_id: str, notice: str = "", *, failed: bool = False, written: str = ""
) -> ShownPage:
    found = await control.event(event_id)
    event: dict[str, Any] = json.loads(found.json)
    values = {
        "event": event,
        "service": found.service,
        "payload": written or found.payload,
        "published": json.dumps(event.get("payload", event.get("payload_base64")), indent=2, ensure_ascii=False),
        "consumers": found.consumers,
        "notes": [(one, json.dumps(one[_BEFORE], indent=2)) for one in event["decisions"] if _BEFORE in one],
    }
    return ShownPage("parked/event.html", f"Event {event_id}", event, values, notice, failed)
