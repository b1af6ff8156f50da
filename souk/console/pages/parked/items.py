"""What waits for an operator: parked steps of sagas, commits, and events that a consumer could not handle."""

from collections import Counter
from collections.abc import Sequence

from soukapi.v1 import parked_pb2 as pb

from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRefused, PageRequest, ShownPage
from souk.console.pages.sagas.runs import document

MOST = 200
"""Steps, and events, of a service that the page shows; the database gives no more."""


def parked_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        return await _listed(control)

    async def act(asked: PageRequest) -> ShownPage:
        chosen, why = asked.form.get("id", ()), asked.given("why")
        if not chosen:
            raise PageRefused("choose at least one row")
        if not why:
            raise PageRefused("say why: it is kept with what you decide")
        done, refused = 0, list[str]()
        for one in chosen:
            item, _, consumer = one.partition(" ")
            try:
                done += await control.decide_parked(
                    pb.DecideParkedRequest(
                        id=item, consumer=consumer, decision="replay", operator=asked.operator.subject, why=why
                    )
                )
            except PageRefused as error:
                refused.append(f"{item}: {error.detail}")
        return await _listed(control, f"{done} will be tried again", refused)

    return ConsolePage("parked", "Parked work", show, act, group="Work")


async def _listed(control: ControlSocket, notice: str = "", refused: Sequence[str] = ()) -> ShownPage:
    found = await control.parked(MOST)
    causes = Counter((item.digest or item.reason) for item in found.items)
    rows = [
        {
            "item": item,
            "type": item.what.rpartition(".")[2] if item.kind == "event" else item.what,
            "since": item.since.ToMicroseconds(),
            "alike": causes[item.digest or item.reason] - 1,
        }
        for item in found.items
    ]
    values = {"rows": rows, "more": found.more, "silent": found.silent}
    data = {"items": [document(one) for one in found.items], "more": found.more, "silent": list(found.silent)}
    if refused:
        notice = f"{notice}; {len(refused)} not, the first: {refused[0]}"
    return ShownPage("parked/list.html", "Parked work", data, values, notice, bool(refused))
