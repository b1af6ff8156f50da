"""Asks Order and Payment, on behalf of an account's owner, what still stands against deleting the account."""

from collections.abc import Callable

import grpc.aio
from shop.order.v1 import order_pb2
from shop.order.v1.order_pb2_grpc import OrderServiceStub
from shop.payment.v1 import payment_pb2
from shop.payment.v1.payment_pb2_grpc import PaymentServiceStub

from marketplace.user.domain.account import service_unavailable
from souk.sdk import CallFailed

_PAGE = 100
_OPEN = (order_pb2.ORDER_STATUS_PENDING, order_pb2.ORDER_STATUS_CONFIRMED, order_pb2.ORDER_STATUS_CANCELLING)


class ServiceObligations:
    """Implements the port Obligations by calls that the owner could make as well."""

    def __init__(self, channel: Callable[[str], grpc.aio.Channel]) -> None:
        self._channel = channel

    async def has_open_orders(self) -> bool:
        stub, token = OrderServiceStub(self._channel("order")), None
        try:
            while True:
                request = order_pb2.ListOrdersRequest(page_size=_PAGE, page_token=token)
                page = await stub.ListOrders(request)
                if any(order.status in _OPEN for order in page.orders):
                    return True
                if not page.HasField("next_page_token"):
                    return False
                token = page.next_page_token
        except CallFailed as failed:
            raise service_unavailable("order") from failed

    async def balance(self) -> int:
        try:
            wallet = await PaymentServiceStub(self._channel("payment")).GetWallet(payment_pb2.GetWalletRequest())
        except CallFailed as failed:
            raise service_unavailable("payment") from failed
        return int(wallet.balance)
