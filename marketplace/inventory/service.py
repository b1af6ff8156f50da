"""The Inventory service: its composition root, and the servicer that turns messages into commands."""

import asyncio
from functools import partial
from importlib.resources import files
from typing import Any

import grpc.aio
from marketplace.inventory.adapters.announcer import OutboxAnnouncer
from marketplace.inventory.adapters.no_gate import NoGate
from marketplace.inventory.adapters.turns import Turns
from marketplace.inventory.use_cases.release import Release, release
from marketplace.inventory.use_cases.reserve import reserve
from shop.inventory.v1 import inventory_pb2 as pb
from shop.inventory.v1.inventory_pb2_grpc import InventoryServiceServicer

from marketplace.inventory.demo import load_demo
from marketplace.inventory.messages import to_adjust, to_message, to_reserve
from marketplace.inventory.ports import Announcer, Gate, Stockroom
from marketplace.inventory.store import SqlStockroom
from marketplace.inventory.use_cases.adjust_stock import Adjusted, AdjustStock, adjust_stock
from marketplace.inventory.use_cases.commit_reservation import CommitReservation, commit_reservation
from marketplace.inventory.use_cases.expire_reservations import BATCH, expire_reservations
from marketplace.inventory.use_cases.get_stock import GetStock, get_stock
from marketplace.inventory.use_cases.return_stock import ReturnStock, return_stock
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.runtime.service import Host, Parts, Service
from souk.store.database import Database

__all__ = ["InventoryServicer", "build", "service"]

EXPIRY_INTERVAL = 5.0
"""Seconds between two looks for lapsed reservations."""

Context = grpc.aio.ServicerContext[Any, Any]


class InventoryServicer(InventoryServiceServicer):
    """shop.inventory.v1.InventoryService, over a stockroom."""

    def __init__(
        self, database: Database, stockroom: Stockroom, announcer: Announcer, gate: Gate, turns: Turns, clock: Clock
    ) -> None:
        self._gate, self._turns = gate, turns
        self._database = database
        self._stockroom = stockroom
        self._announcer = announcer
        self._clock = clock

    async def GetStock(self, request: pb.GetStockRequest, context: Context) -> pb.Stock:
        available = await get_stock(GetStock(request.product_id), self._database, self._stockroom)
        return pb.Stock(product_id=request.product_id, available=available)

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Context) -> pb.Stock:
        command = to_adjust(request, current().caller.subject)
        adjusted = await adjust_stock(command, self._database, self._stockroom, self._announcer, self._clock.now())
        if adjusted.replayed:
            context.set_trailing_metadata((("idempotent-replayed", "true"),))
        return pb.Stock(product_id=request.product_id, available=adjusted.available)

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.Reservation:
        command = to_reserve(request)
        async with self._turns.of(item.product_id for item in command.items):
            found = await reserve(command, self._database, self._stockroom, self._gate, self._clock.now())
        return to_message(found)

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.Reservation:
        command = Release(request.key)
        return to_message(await release(command, self._database, self._stockroom, self._clock.now()))

    async def CommitReservation(self, request: pb.CommitReservationRequest, context: Context) -> pb.Reservation:
        command = CommitReservation(request.key)
        return to_message(await commit_reservation(command, self._database, self._stockroom))

    async def ReturnStock(self, request: pb.ReturnStockRequest, context: Context) -> pb.Reservation:
        command = ReturnStock(request.key)
        return to_message(await return_stock(command, self._database, self._stockroom))


async def expire_for_ever(database: Database, stockroom: Stockroom, clock: Clock) -> None:
    """Puts lapsed reservations back, until it is cancelled."""
    while True:
        if await expire_reservations(database, stockroom, clock.now()) < BATCH:
            await asyncio.sleep(EXPIRY_INTERVAL)


async def build(host: Host) -> Parts:
    """Puts the service together."""
    stockroom = SqlStockroom()
    announcer = OutboxAnnouncer(host.outbox)
    gate = _gate(host)

    async def adjust(command: AdjustStock) -> Adjusted:
        return await adjust_stock(command, host.database, stockroom, announcer, host.clock.now())

    return Parts(
        servicer=InventoryServicer(host.database, stockroom, announcer, gate, Turns(), host.clock),
        tasks={"expire reservations": partial(expire_for_ever, host.database, stockroom, host.clock)},
        demo=partial(load_demo, adjust),
    )


def _gate(host: Host) -> Gate:
    if host.redis is None:
        return NoGate()
    # Here, because Redis is an optional extra.
    from marketplace.inventory.adapters.redis_gate import RedisGate

    return RedisGate(host.redis, host.clock)


service = Service(
    name="inventory",
    contract=pb.DESCRIPTOR.services_by_name["InventoryService"],
    build=build,
    migrations=files("marketplace.inventory") / "migrations",
)
