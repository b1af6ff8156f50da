"""What contracts say about events, and that a service publishes nothing else."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int64Value
from shop.order.v1 import order_pb2 as order
from shop.product.v1.product_pb2 import ProductDeleted
from soukapi.v1 import policy_pb2

from marketplace.app.app import app
from souk.descriptors.comments import comments_of
from souk.descriptors.contract import contract_of
from souk.descriptors.event_contract import Need, event_of, events_of
from souk.kernel.clock import SystemClock
from souk.store.outbox import Outbox

EVENTS = {name: event for service in app.services for name, event in events_of(service.contract).items()}
ORDER = order.DESCRIPTOR.services_by_name["OrderService"]


def test_an_event_says_what_it_needs_and_who_may_hear_it() -> None:
    confirmed = events_of(ORDER)["shop.order.v1.OrderConfirmed"]
    assert (confirmed.key, confirmed.retention) == ("order.id", 604_800.0)
    assert confirmed.needs == {Need.ORDER_PER_KEY, Need.AT_LEAST_ONCE}
    assert confirmed.may_hear("notification")
    assert not confirmed.may_hear("inventory")
    assert EVENTS["shop.user.v1.UserDeleted"].may_hear("whoever")


def test_each_message_that_its_comment_calls_an_event_is_marked_and_no_other() -> None:
    comments = comments_of(contract_of(service.contract) for service in app.services)
    assert {name for name, text in comments.items() if text.startswith("Event: ")} == set(EVENTS)


def test_a_message_without_the_option_is_no_event() -> None:
    assert event_of(order.Order.DESCRIPTOR) is None


def _with(**changed: object) -> Mapping[str, object]:
    whole: dict[str, object] = {"key": "id", "needs": [2], "retention": {"seconds": 60}, "subscribers": ["*"]}
    return {name: value for name, value in {**whole, **changed}.items() if value is not None}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (_with(key=None), "has the key ''"),
        (_with(key="name"), "has the key 'name', which names no text field"),
        (_with(key="id.id"), "has the key 'id.id'"),
        (_with(key="count"), "has the key 'count'"),
        (_with(needs=None), "give it needs"),
        (_with(needs=[0]), "give it needs"),
        (_with(retention=None), "give it a retention"),
        (_with(subscribers=None), "give it subscribers"),
    ],
)
def test_an_event_that_does_not_say_what_it_must_is_refused(policy: Mapping[str, object], said: str) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd.v1", syntax="proto3")
    message = file.message_type.add(name="Odd")
    message.field.add(name="id", number=1, type=9, label=1)
    message.field.add(name="count", number=2, type=3, label=1)
    message.options.Extensions[policy_pb2.event].MergeFrom(policy_pb2.EventPolicy(**policy))  # type: ignore[arg-type]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    with pytest.raises(ValueError, match=r"the event odd\.v1\.Odd") as refused:
        event_of(pool.FindMessageTypeByName("odd.v1.Odd"))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (Int64Value(value=1), "Int64Value is no event, so it cannot be published: give it the option"),
        (ProductDeleted(product_id="ORD-1"), r"is an event of another service than shop\.order\.v1"),
        (order.OrderConfirmed(order=order.Order(id="ORD-2")), r"with another key than its order\.id"),
    ],
)
async def test_an_outbox_takes_events_of_its_contract_alone(payload: Message, said: str) -> None:
    untouched: Any = None
    with pytest.raises(ValueError, match=said):
        await Outbox("order", SystemClock(), ORDER).publish(untouched, "ORD-1", payload)


def test_each_event_of_the_marketplace_names_those_who_subscribe() -> None:
    heard = [(service.name, name) for service in app.services for one in service.subscriptions for name in one.types]
    assert [(service, name) for service, name in heard if not EVENTS[name].may_hear(service)] == []
