"""The adapters that reserve and sell stock through the Inventory service."""

from collections.abc import Sequence

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from shop.inventory.v1 import inventory_pb2 as pb
from shop.inventory.v1.inventory_pb2_grpc import InventoryServiceStub

from marketplace.order.events import Item
from souk.sdk import MICROSECONDS


class InventoryStock:
    """Implements the port `Stock` by calls to Inventory."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._inventory = InventoryServiceStub(channel)

    async def reserve(self, key: str, order_id: str, items: Sequence[Item], expires_at: int) -> None:
        wanted = [pb.StockItem(product_id=item.product_id, quantity=item.quantity) for item in items]
        seconds, rest = divmod(expires_at, MICROSECONDS)
        expiry = Timestamp(seconds=seconds, nanos=rest * 1_000)
        await self._inventory.Reserve(pb.ReserveRequest(key=key, order_id=order_id, items=wanted, expires_at=expiry))

    async def release(self, key: str) -> None:
        await self._inventory.Release(pb.ReleaseRequest(key=key))

    async def commit(self, key: str) -> None:
        await self._inventory.CommitReservation(pb.CommitReservationRequest(key=key))

    async def take_back(self, key: str) -> None:
        await self._inventory.ReturnStock(pb.ReturnStockRequest(key=key))


class InventoryTransactions:
    """Implements the port `PreparedStock` by calls to Inventory."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._inventory = InventoryServiceStub(channel)

    async def prepare(self, transaction: str, key: str, order_id: str, items: Sequence[Item]) -> None:
        sold = [pb.StockItem(product_id=item.product_id, quantity=item.quantity) for item in items]
        request = pb.PrepareSaleRequest(transaction=transaction, key=key, order_id=order_id, items=sold)
        await self._inventory.PrepareSale(request)

    async def commit(self, transaction: str) -> None:
        await self._inventory.CommitPrepared(pb.CommitPreparedRequest(transaction=transaction))

    async def roll_back(self, transaction: str) -> None:
        await self._inventory.RollBackPrepared(pb.RollBackPreparedRequest(transaction=transaction))
