"""Compares what must be equal while the system runs: equal, or with the exact difference.

While sagas are open or events are under way, two services may differ for a moment. A difference that stays when nothing
is under way is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from soukapi.v1 import accounts_pb2, parked_pb2, sagas_pb2

from souk.runtime.service import Invariant

MOST = 20
"""Differences of an invariant that are listed."""
HOLDS, MOVING, BROKEN, UNREAD = "holds", "in motion", "broken", "not read"


class AccountBooks(Protocol):
    """What is asked of the running system. Each method raises ConfigurationError when it does not answer."""

    async def saga_runs(self, request: sagas_pb2.ListSagaRunsRequest) -> sagas_pb2.ListSagaRunsResponse:
        """Lists runs of sagas."""

    async def lag(self) -> parked_pb2.ListLagResponse:
        """Lists the consumers that are behind."""

    async def accounts(self) -> accounts_pb2.ReadAccountsResponse:
        """Reads every account."""


@dataclass(frozen=True, slots=True)
class InvariantReport:
    """The invariants as documents, what may make services differ for a moment, and who did not answer."""

    checked: Sequence[dict[str, Any]]
    moving: str
    silent: Sequence[str]


async def checked_invariants(books: AccountBooks, invariants: Sequence[Invariant]) -> InvariantReport:
    """Compares the accounts of a running system. Raises ConfigurationError when it does not answer."""
    report = await _compared(books, invariants)
    if not any(one["state"] == BROKEN for one in report.checked):
        return report
    # The accounts are not read at one moment: what was done between two reads is no difference.
    before, report = report, await _compared(books, invariants)
    confirmed = [_confirmed(one, first) for one, first in zip(report.checked, before.checked, strict=True)]
    return InvariantReport(confirmed, report.moving, report.silent)


async def _compared(books: AccountBooks, invariants: Sequence[Invariant]) -> InvariantReport:
    before = await _under_way(books)
    found = await books.accounts()
    moving = before or await _under_way(books)
    checked = [_checked(one, found.accounts, found.silent, moving) for one in invariants]
    return InvariantReport(checked, moving, found.silent)


def _confirmed(one: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Calls an invariant broken only if two comparisons, one after the other, found the same difference."""
    changed = one["state"] == BROKEN and one["differences"] != before["differences"]
    return {**one, "state": MOVING} if changed else one


async def _under_way(books: AccountBooks) -> str:
    """Says what may make services differ for a moment; empty if nothing is under way."""
    runs = await books.saga_runs(sagas_pb2.ListSagaRunsRequest(state="open", limit=1))
    lag = await books.lag()
    reasons = ["a saga is open"] if runs.runs else []
    pending = sum(one.pending + one.parked for one in lag.consumers)
    if pending:
        reasons.append(f"{pending} {'event is' if pending == 1 else 'events are'} not delivered")
    if silent := sorted({*runs.silent, *lag.silent}):
        reasons.append(f"{', '.join(silent)} does not say what is under way")
    return " and ".join(reasons)


def _checked(
    invariant: Invariant, accounts: Iterable[accounts_pb2.AccountBalance], silent: Sequence[str], moving: str
) -> dict[str, Any]:
    known = {f"{one.service}/{one.account}": one for one in accounts}
    names = (*invariant.left, *invariant.right)
    failed = [f"{name}: {_missing(name, known, silent)}" for name in names if name not in known or known[name].failed]
    about = {"name": invariant.name, "meaning": invariant.meaning, "left": invariant.left, "right": invariant.right}
    if failed:
        return {**about, "state": UNREAD, "failed": failed, "sums": [], "differences": []}
    left, right = (_sums(side, known) for side in (invariant.left, invariant.right))
    sums = [{"unit": unit, "left": left.get(unit, 0), "right": right.get(unit, 0)} for unit in sorted({*left, *right})]
    differences = [one for one in sums if one["left"] != one["right"]]
    apart = len({name.partition("/")[0] for name in names}) > 1
    state = HOLDS if not differences else MOVING if moving and apart else BROKEN
    return {**about, "state": state, "failed": [], "sums": sums[:MOST], "differences": differences[:MOST]}


def _sums(side: Iterable[str], known: Mapping[str, accounts_pb2.AccountBalance]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in side:
        for unit, amount in known[name].amounts.items():
            found[unit] = found.get(unit, 0) + amount
    return found


def _missing(name: str, known: Mapping[str, accounts_pb2.AccountBalance], silent: Sequence[str]) -> str:
    if name in known:
        return known[name].failed
    return "its service does not answer" if name.partition("/")[0] in silent else "no service has this account"
