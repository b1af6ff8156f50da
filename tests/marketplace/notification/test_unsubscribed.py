"""Readers who want no more mails, and readers who get very many."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shop.order.v1 import order_pb2 as order
from shop.user.v1 import user_pb2 as user

from marketplace.notification.domain import MailRate
from marketplace.notification.ports import DeliveryPostponed
from marketplace.notification.service import build
from marketplace.notification.templates import TEMPLATES
from souk.events.consumer import is_away
from souk.kernel.errors import ConfigurationError
from souk.runtime.service import ServiceContext, ServiceParts
from tests.marketplace.notification.test_mails import event_of, mailbox, payloads

ESSENTIAL = {name for name, template in TEMPLATES.items() if template.essential}


async def test_who_has_unsubscribed_gets_what_is_about_money_alone(
    parts: ServiceParts, tmp_path: Path, users: Any, placed: order.Order
) -> None:
    users.contacts["U-1"] = user.Contact(email="m@example.com", name="Mina", unsubscribed=True)
    for payload in payloads(placed):
        await parts.consumers["mails"](event_of(payload, payload.DESCRIPTOR.name))
    assert set(mailbox(tmp_path)) == {f"{name.rpartition('.')[2]}.eml" for name in ESSENTIAL}
    assert TEMPLATES.keys() - ESSENTIAL == {"shop.order.v1.OrderShipped"}


async def test_a_mail_that_can_be_ended_has_the_link_for_one_click(
    host: ServiceContext, tmp_path: Path, users: Any, placed: order.Order
) -> None:
    users.contacts["U-1"] = user.Contact(email="m@example.com", name="Mina", unsubscribe_token="U-1.a_b-c")
    parts = await build(replace(host, settings={"public_url": "https://shop.example/"}))
    for payload in payloads(placed):
        await parts.consumers["mails"](event_of(payload, payload.DESCRIPTOR.name))
    found = mailbox(tmp_path)
    mail = found.pop("OrderShipped.eml")
    assert mail["List-Unsubscribe"] == "<https://shop.example/api/v1/unsubscribe/U-1.a_b-c>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert all(other["List-Unsubscribe"] is None for other in found.values())


async def test_without_an_address_of_the_gateway_there_is_no_link(
    parts: ServiceParts, tmp_path: Path, users: Any, placed: order.Order
) -> None:
    users.contacts["U-1"] = user.Contact(email="m@example.com", name="Mina", unsubscribe_token="U-1.abc")
    await parts.consumers["mails"](event_of(order.OrderShipped(user_id="U-1", order=placed)))
    assert mailbox(tmp_path)["EVT-1.eml"]["List-Unsubscribe"] is None


async def test_mails_over_the_rate_wait_and_others_do_not(
    host: ServiceContext, tmp_path: Path, users: Any, placed: order.Order
) -> None:
    users.contacts["U-2"] = user.Contact(email="o@example.com", name="Omar")
    parts = await build(replace(host, settings={"rate": "2"}))

    async def mail(user_id: str, event_id: str) -> None:
        await parts.consumers["mails"](event_of(order.OrderConfirmed(user_id=user_id, order=placed), event_id))

    await mail("U-1", "E-1")
    await mail("U-1", "E-2")
    with pytest.raises(DeliveryPostponed) as waits:
        await mail("U-1", "E-3")
    assert is_away(waits.value)
    await mail("U-2", "E-4")
    assert set(mailbox(tmp_path)) == {"E-1.eml", "E-2.eml", "E-4.eml"}


def test_the_rate_is_refilled_and_gives_back() -> None:
    rate = MailRate(60)
    assert [rate.take("U", 0.0) for _ in range(61)] == [True] * 60 + [False]
    assert not rate.take("U", 0.9)
    assert rate.take("U", 1.9)
    assert not rate.take("U", 1.9)
    rate.give_back("U")
    assert rate.take("U", 1.9)
    assert [rate.take("U", 10_000.0) for _ in range(61)] == [True] * 60 + [False]


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": "0"},
        {"rate": "many"},
        {"public_url": "shop.example"},
        {"public_url": "https://shop.example/?x"},
        {"public_url": "https://a>\r\nX: y"},
    ],
)
async def test_wrong_settings_stop_the_start(host: ServiceContext, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        await build(replace(host, settings=settings))
