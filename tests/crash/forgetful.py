"""Breaks the idempotency of a saga's steps, so that the crash matrix can be seen to find it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from marketplace.order.adapters.payments import ServicePayments
from marketplace.order.adapters.stock import InventoryStock
from marketplace.order.ports import Charge


def stock() -> None:
    """Makes every try to reserve a reservation of its own; the last one is sold."""
    reserve, commit = InventoryStock.reserve, InventoryStock.commit
    last: dict[str, str] = {}

    async def reserve_anew(
        self: InventoryStock, key: str, order_id: str, items: Sequence[Any], expires_at: int
    ) -> None:
        last[key] = f"{key}:{uuid4()}"
        await reserve(self, last[key], order_id, items, expires_at)

    async def commit_last(self: InventoryStock, key: str) -> None:
        await commit(self, last.get(key, key))

    InventoryStock.reserve, InventoryStock.commit = reserve_anew, commit_last


def card() -> None:
    """Makes every try to charge a charge of its own."""
    charge = ServicePayments.charge

    async def charge_anew(self: ServicePayments, wanted: Charge) -> str:
        return await charge(self, replace(wanted, key=f"{wanted.key}:{uuid4()}"))

    ServicePayments.charge = charge_anew
