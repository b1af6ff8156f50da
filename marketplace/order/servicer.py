"""Turns requests of the contract into commands, and results into messages."""

from typing import Any

import grpc.aio
from shop.order.v1 import order_pb2 as pb
from shop.order.v1.order_pb2_grpc import OrderServiceServicer

from marketplace.order.deps import Deps
from marketplace.order.messages import (
    decision_message,
    event_message,
    items_of,
    order_message,
    page_message,
    reply_message,
    shown_message,
)
from marketplace.order.use_cases.cancel_order import CancelOrder, cancel_order
from marketplace.order.use_cases.fulfil_order import DeliverOrder, ShipOrder, deliver_order, ship_order
from marketplace.order.use_cases.get_decision import GetDecision, get_decision
from marketplace.order.use_cases.place_order import PlaceOrder, place_order
from marketplace.order.use_cases.read_orders import (
    GetOrder,
    GetPastOrder,
    ListOrderEvents,
    ListOrders,
    get_order,
    get_past_order,
    list_order_events,
    list_orders,
)
from souk.sdk import current, fingerprint, page_of

Context = grpc.aio.ServicerContext[Any, Any]
_REPLAYED = (("idempotent-replayed", "true"),)


class OrderServicer(OrderServiceServicer):
    """Serves shop.order.v1.OrderService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def PlaceOrder(self, request: pb.PlaceOrderRequest, context: Context) -> pb.Order:
        command = PlaceOrder(
            user_id=_buyer(),
            items=items_of(request),
            shipping_address_id=request.shipping_address_id,
            payment_method=request.payment_method,
            key=request.idempotency_key,
            fingerprint=fingerprint(request, without="idempotency_key"),
        )
        answer = await place_order(self._deps, command)
        if answer.replayed:
            context.set_trailing_metadata(_REPLAYED)
        return reply_message(answer.reply)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.Order:
        if request.HasField("as_of"):
            past = GetPastOrder(_buyer(), request.id, request.as_of.ToMicroseconds())
            return order_message(await get_past_order(self._deps, past))
        return shown_message(await get_order(self._deps, GetOrder(_buyer(), request.id)))

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.ListOrdersResponse:
        page = page_of(request, (int, str), caller=_buyer())
        return page_message(*await list_orders(self._deps, ListOrders(_buyer(), page)))

    async def ListOrderEvents(self, request: pb.ListOrderEventsRequest, context: Context) -> pb.ListOrderEventsResponse:
        page = page_of(request, (int,), caller=_buyer())
        shown, token = await list_order_events(self._deps, ListOrderEvents(_buyer(), request.id, page))
        return pb.ListOrderEventsResponse(events=map(event_message, shown), next_page_token=token)

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Context) -> pb.Order:
        return order_message(await cancel_order(self._deps, CancelOrder(_buyer(), request.id)))

    async def ShipOrder(self, request: pb.ShipOrderRequest, context: Context) -> pb.Order:
        return order_message(await ship_order(self._deps, ShipOrder(request.id)))

    async def DeliverOrder(self, request: pb.DeliverOrderRequest, context: Context) -> pb.Order:
        return order_message(await deliver_order(self._deps, DeliverOrder(request.id)))

    async def GetDecision(self, request: pb.GetDecisionRequest, context: Context) -> pb.TransactionDecision:
        return decision_message(await get_decision(self._deps, GetDecision(request.transaction)))


def _buyer() -> str:
    return current().caller.subject
