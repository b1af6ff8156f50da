"""Audit orders: fold the events of every order that changed, and compare the result with the read model."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from marketplace.order.deps import Deps
from marketplace.order.messages import differences
from marketplace.order.store.snapshots import SNAPSHOTS
from souk.sdk import RecordedEvent, Transaction

_log = logging.getLogger(__name__)


async def audit_orders(
    deps: Deps, found: Callable[[int], None], tx: Transaction, events: Sequence[RecordedEvent]
) -> None:
    """Compares the orders that these events belong to; calls `found` with the number that differ, and logs each."""
    wrong: list[str] = []
    for order_id in sorted({event.stream for event in events}):
        order = await deps.orders.load_whole(tx, order_id)
        wrong += differences(order, await deps.orders.read_model.row(tx, order_id))
        if SNAPSHOTS.may_exist(order.version) and await deps.orders.load(tx, order_id) != order:
            await deps.orders.drop_snapshot(tx, order_id)
            wrong.append(f"{order_id}: its snapshot was wrong, and is dropped")
    if wrong:
        tx.after_commit(partial(_report, found, wrong))


def _report(found: Callable[[int], None], wrong: Sequence[str]) -> None:
    found(len(wrong))
    for line in wrong:
        _log.error("an order differs from its events; `souk rebuild order.read-model` mends the read model: %s", line)
