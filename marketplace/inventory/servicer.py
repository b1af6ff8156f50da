"""Turns requests into commands and results into messages; validates requests beyond the contract's limits."""

from collections.abc import Iterable, Iterator
from typing import Any

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from shop.inventory.v1 import inventory_pb2 as pb
from shop.inventory.v1.inventory_pb2_grpc import InventoryServiceServicer

from marketplace.inventory.deps import Deps
from marketplace.inventory.domain import Item
from marketplace.inventory.messages import to_message
from marketplace.inventory.use_cases.adjust_stock import AdjustStock, adjust_stock
from marketplace.inventory.use_cases.commit_reservation import CommitReservation, commit_reservation
from marketplace.inventory.use_cases.get_stock import GetStock, get_stock
from marketplace.inventory.use_cases.prepare_sale import PrepareSale, prepare_sale
from marketplace.inventory.use_cases.release_reservation import ReleaseReservation, release_reservation
from marketplace.inventory.use_cases.reserve_stock import ReserveStock, reserve_stock
from marketplace.inventory.use_cases.return_stock import ReturnStock, return_stock
from souk.sdk import MICROSECONDS, InvalidArgument, Violation, current

Context = grpc.aio.ServicerContext[Any, Any]


class InventoryServicer(InventoryServiceServicer):
    """Serves shop.inventory.v1.InventoryService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def GetStock(self, request: pb.GetStockRequest, context: Context) -> pb.Stock:
        available = await get_stock(self._deps, GetStock(request.product_id))
        return pb.Stock(product_id=request.product_id, available=available)

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Context) -> pb.Stock:
        adjusted = await adjust_stock(self._deps, _adjust(request, current().caller.subject))
        if adjusted.replayed:
            context.set_trailing_metadata((("idempotent-replayed", "true"),))
        return pb.Stock(product_id=request.product_id, available=adjusted.available)

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.Reservation:
        return to_message(await reserve_stock(self._deps, _reserve(request)))

    async def Release(self, request: pb.ReleaseRequest, context: Context) -> pb.Reservation:
        return to_message(await release_reservation(self._deps, ReleaseReservation(request.key)))

    async def CommitReservation(self, request: pb.CommitReservationRequest, context: Context) -> pb.Reservation:
        return to_message(await commit_reservation(self._deps, CommitReservation(request.key)))

    async def ReturnStock(self, request: pb.ReturnStockRequest, context: Context) -> pb.Reservation:
        return to_message(await return_stock(self._deps, ReturnStock(request.key)))

    async def PrepareSale(self, request: pb.PrepareSaleRequest, context: Context) -> pb.Reservation:
        return to_message(await prepare_sale(self._deps, _sale(request)))

    async def CommitPrepared(self, request: pb.CommitPreparedRequest, context: Context) -> Empty:
        await self._deps.participant.commit(request.transaction)
        return Empty()

    async def RollBackPrepared(self, request: pb.RollBackPreparedRequest, context: Context) -> Empty:
        await self._deps.participant.roll_back(request.transaction)
        return Empty()


def _reserve(request: pb.ReserveRequest) -> ReserveStock:
    """Makes the command; raises InvalidArgument with every violation."""
    _refuse(_twice(request.items), _expiry(request))
    items = tuple(Item(item.product_id, item.quantity) for item in request.items)
    expires_at = request.expires_at.seconds * MICROSECONDS + request.expires_at.nanos // 1_000
    return ReserveStock(request.key, request.order_id, items, expires_at)


def _sale(request: pb.PrepareSaleRequest) -> PrepareSale:
    """Makes the command; raises InvalidArgument with every violation."""
    _refuse(_twice(request.items))
    items = tuple(Item(item.product_id, item.quantity) for item in request.items)
    return PrepareSale(request.transaction, request.key, request.order_id, items)


def _adjust(request: pb.AdjustStockRequest, caller: str) -> AdjustStock:
    """Makes the command; raises InvalidArgument with every violation."""
    _refuse(_delta(request.delta))
    return AdjustStock(caller, request.idempotency_key, request.product_id, request.delta, request.reason)


def _refuse(*checks: Iterable[Violation]) -> None:
    violations = [violation for check in checks for violation in check]
    if violations:
        raise InvalidArgument(violations)


def _delta(delta: int) -> Iterator[Violation]:
    if delta == 0:
        yield Violation("delta", "must not be 0")


def _expiry(request: pb.ReserveRequest) -> Iterator[Violation]:
    if request.expires_at.seconds <= 0:
        yield Violation("expires_at", "must say when the reservation expires")


def _twice(items: Iterable[pb.StockItem]) -> Iterator[Violation]:
    known: set[str] = set()
    for index, item in enumerate(items):
        if item.product_id in known:
            yield Violation(f"items[{index}].product_id", "occurs more than once")
        known.add(item.product_id)
