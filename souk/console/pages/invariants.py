"""What must be equal, compared while the system runs: green, or with the exact difference.

While sagas are open or events are under way, two services may differ for a moment; the page says so. A difference that
stays when nothing is under way is one.
"""

from collections.abc import Sequence

from souk.admin.checks.invariants import BROKEN, HOLDS, MOVING, UNREAD, checked_invariants
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRequest, ShownPage
from souk.runtime.service import Invariant

_TONES = {HOLDS: "good", MOVING: "warn", BROKEN: "bad", UNREAD: "bad"}


def invariants_page(control: ControlSocket, invariants: Sequence[Invariant]) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        found = await checked_invariants(control, invariants)
        checked, moving = found.checked, found.moving
        wrong = sum(one["state"] in (BROKEN, UNREAD) for one in checked)
        values = {"checked": checked, "moving": moving, "wrong": wrong, "tones": _TONES, "silent": found.silent}
        data = {"invariants": checked, "under_way": moving, "silent": list(found.silent)}
        return ShownPage("invariants.html", "Invariants", data, values)

    return ConsolePage("invariants", "Invariants", show)
