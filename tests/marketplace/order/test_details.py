"""What a refusal names of an order as large as the contract lets it be, arrives whole."""

import pytest
from google.protobuf.message import Message
from shop.inventory.v1 import inventory_pb2
from shop.order.v1 import order_pb2 as pb

from souk.descriptors.contract import contract_of
from souk.descriptors.limits import policy_of
from souk.kernel.errors import DomainError
from souk.rpc.status import decode, encode

MOST = policy_of(pb.PlaceOrderRequest.DESCRIPTOR.fields_by_name["items"]).max_items
LIMITS = pb.OrderItem.DESCRIPTOR.fields_by_name
IDS = [f"{n:03}".rjust(policy_of(LIMITS["product_id"]).max_length, "P") for n in range(MOST)]
PRICE = policy_of(LIMITS["price"]).maximum
SHORT = policy_of(LIMITS["quantity"]).maximum - 1


@pytest.mark.parametrize(
    ("service", "reason", "detail"),
    [
        (
            pb.DESCRIPTOR.services_by_name["OrderService"],
            "OUT_OF_STOCK",
            pb.StockShortage(items=[pb.AvailableStock(product_id=each, available=SHORT) for each in IDS]),
        ),
        (
            inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"],
            "OUT_OF_STOCK",
            inventory_pb2.StockShortage(items=[inventory_pb2.Stock(product_id=each, available=SHORT) for each in IDS]),
        ),
        (
            pb.DESCRIPTOR.services_by_name["OrderService"],
            "PRICE_CHANGED",
            pb.PriceChange(items=[pb.CurrentPrice(product_id=each, price=PRICE) for each in IDS]),
        ),
    ],
)
def test_a_refusal_names_every_item(service: object, reason: str, detail: Message) -> None:
    contract = contract_of(service)  # type: ignore[arg-type]
    error = DomainError(reason, "a price differs from the current price", detail, retry_after=1.0)
    assert decode(encode(error, contract.reasons[reason].code, contract.name)).messages == (detail,)
