"""Messages to browsers about events: each browser gets its own, and one that is gone is forgotten."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grpc.aio import AioRpcError
from shop.notification.v1 import notification_pb2 as pb
from shop.order.v1 import order_pb2 as order
from shop.user.v1 import user_pb2 as user

from marketplace.notification.adapters.vapid import base64url
from marketplace.notification.adapters.web_push_encryption import point_of
from marketplace.notification.ports import DeliveryPostponed
from marketplace.notification.service import build, service
from souk.events.envelope import Event
from souk.kernel.errors import ConfigurationError, DomainError, PoisonedEvent
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from tests.marketplace.notification.providers import Browser, PushService, serving
from tests.marketplace.notification.test_mails import event_of

KEY = generate_private_key(SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class Pushed:
    """The service with a push service, and the browsers `phone` and `laptop` of the user U-1."""

    parts: ServiceParts
    push_service: PushService
    phone: Browser
    laptop: Browser
    placed: order.Order

    async def shipped(self, event_id: str = "EVT-1") -> None:
        event = event_of(order.OrderShipped(user_id="U-1", order=self.placed), event_id)
        await self.parts.consumers["pushes"](event)

    def got(self, browser: Browser, path: str) -> list[Any]:
        return [json.loads(browser.decrypted(one.body)) for one in self.push_service.asked if one.path == path]

    def counts(self) -> dict[str, float]:
        samples = [sample for metric in self.parts.collectors[2].collect() for sample in metric.samples]
        return {one.labels["outcome"]: one.value for one in samples if one.name.endswith("_total") and one.value}


def subscribed(browser: Browser, endpoint: str) -> user.Browser:
    return user.Browser(
        endpoint=endpoint, keys=user.PushKeys(p256dh=browser.public_key, auth=base64url(browser.secret))
    )


@asynccontextmanager
async def pushing(host: ServiceContext, users: Any, placed: order.Order) -> AsyncIterator[Pushed]:
    clock = FakeClock()
    push_service = PushService(base64url(point_of(KEY)), lambda: clock.now() / 1_000_000)
    async with serving(push_service):
        parts = await build(replace(host, clock=clock, settings={"push_key": PEM, "push_services": "127.0.0.1"}))
        phone, laptop = Browser(), Browser()
        browsers = [
            subscribed(phone, f"{push_service.url}/phone"),
            subscribed(laptop, f"{push_service.url}/laptop"),
        ]
        users.contacts["U-1"] = user.Contact(email="m@example.com", name="Mina", locale="ar", browsers=browsers)
        yield Pushed(parts, push_service, phone, laptop, placed)


async def test_each_browser_gets_the_message_in_the_readers_language(
    host: ServiceContext, users: Any, placed: order.Order
) -> None:
    async with pushing(host, users, placed) as pushed:
        await pushed.shipped()
        for browser, path in ((pushed.phone, "/phone"), (pushed.laptop, "/laptop")):
            (message,) = pushed.got(browser, path)
            assert "ORD-1" in message.pop("title")
            assert message.pop("body")
            assert message == {"lang": "ar", "dir": "rtl", "tag": "EVT-1"}
        assert pushed.counts() == {"sent": 2}


async def test_a_browser_that_is_gone_is_forgotten_and_the_others_get_theirs(
    host: ServiceContext, users: Any, placed: order.Order
) -> None:
    async with pushing(host, users, placed) as pushed:
        users.contacts["U-1"].browsers.append(subscribed(Browser(), "https://elsewhere.example/x"))
        pushed.push_service.faults["/phone"] = (410, {}, None)
        await pushed.shipped()
        assert len(pushed.got(pushed.laptop, "/laptop")) == 1
        assert sorted(users.forgotten) == sorted(
            [("U-1", f"{pushed.push_service.url}/phone"), ("U-1", "https://elsewhere.example/x")]
        )
        assert pushed.counts() == {"sent": 1, "suppressed": 2}


async def test_only_what_was_not_taken_is_sent_again(host: ServiceContext, users: Any, placed: order.Order) -> None:
    async with pushing(host, users, placed) as pushed:
        pushed.push_service.faults["/phone"] = (400, {}, None)
        with pytest.raises(PoisonedEvent, match="400"):
            await pushed.shipped()
        pushed.push_service.faults.clear()
        await pushed.shipped()
        assert len(pushed.got(pushed.phone, "/phone")) == 2
        assert len(pushed.got(pushed.laptop, "/laptop")) == 1
        assert pushed.counts() == {"sent": 2, "refused": 1}


async def test_the_event_comes_again_until_a_browser_that_is_gone_was_forgotten(
    host: ServiceContext, users: Any, placed: order.Order
) -> None:
    async with pushing(host, users, placed) as pushed:
        pushed.push_service.faults["/phone"] = (410, {}, None)
        users.cannot_forget = DomainError("USER_NOT_FOUND", "stands for any failure")
        with pytest.raises(AioRpcError) as failed:
            await pushed.shipped()
        assert not isinstance(failed.value, PoisonedEvent)
        assert pushed.counts() == {"sent": 1, "postponed": 1}
        users.cannot_forget = None
        await pushed.shipped()
        assert users.forgotten == [("U-1", f"{pushed.push_service.url}/phone")]
        assert len(pushed.got(pushed.laptop, "/laptop")) == 1
        assert pushed.counts() == {"sent": 1, "postponed": 1, "suppressed": 1}


async def test_a_refusal_does_not_end_what_is_postponed(host: ServiceContext, users: Any, placed: order.Order) -> None:
    async with pushing(host, users, placed) as pushed:
        pushed.push_service.faults |= {"/phone": (400, {}, None), "/laptop": (403, {}, None)}
        with pytest.raises(DeliveryPostponed):
            await pushed.shipped()


async def test_a_push_service_that_is_away_postpones_the_event(
    host: ServiceContext, users: Any, placed: order.Order
) -> None:
    async with pushing(host, users, placed) as pushed:
        pushed.push_service.reply = (503, {}, None)
        with pytest.raises(DeliveryPostponed):
            await pushed.shipped()
        assert pushed.counts() == {"postponed": 2}


async def test_who_has_unsubscribed_gets_none(host: ServiceContext, users: Any, placed: order.Order) -> None:
    async with pushing(host, users, placed) as pushed:
        users.contacts["U-1"].unsubscribed = True
        await pushed.shipped()
        assert pushed.push_service.asked == []
        assert pushed.counts() == {"suppressed": 1}


async def test_who_has_no_browser_and_who_is_erased_get_none(
    host: ServiceContext, users: Any, placed: order.Order
) -> None:
    async with pushing(host, users, placed) as pushed:
        users.contacts["U-1"].ClearField("browsers")
        await pushed.shipped()
        users.contacts.clear()
        await pushed.shipped()
        assert pushed.push_service.asked == []
        with pytest.raises(PoisonedEvent):
            await pushed.parts.consumers["pushes"](Event(id="E", type="shop.order.v1.OrderShipped", payload=b"\xff"))


async def test_a_browser_asks_for_the_key(host: ServiceContext, users: Any, placed: order.Order) -> None:
    async with pushing(host, users, placed) as pushed:
        servicer: Any = pushed.parts.servicer
        answer = await servicer.GetPushKey(pb.GetPushKeyRequest(), None)
        assert answer.public_key == base64url(point_of(KEY))
    without: Any = (await build(host)).servicer
    with pytest.raises(DomainError, match="PUSH_NOT_OFFERED"):
        await without.GetPushKey(pb.GetPushKeyRequest(), None)


async def test_without_a_key_nobody_is_asked(parts: ServiceParts, users: Any, placed: order.Order) -> None:
    await parts.consumers["pushes"](event_of(order.OrderShipped(user_id="U-1", order=placed)))
    assert users.callers == []


@pytest.mark.parametrize(
    "settings",
    [
        {"push_key": "nothing"},
        {"push_key": "@/nowhere"},
        {"push_key": PEM, "push_contact": "ops"},
        {"push_key": PEM, "push_services": "https://push.example"},
        {"push_key": PEM, "push_services": "*"},
    ],
)
async def test_a_wrong_setting_stops_the_start_in_one_line(host: ServiceContext, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="push") as refused:
        await build(replace(host, settings=settings))
    assert "\n" not in str(refused.value)
    assert "PRIVATE KEY" not in str(refused.value)


async def test_the_key_may_be_in_a_file(host: ServiceContext, tmp_path: Path) -> None:
    file = tmp_path / "push.pem"
    file.write_text(PEM)
    parts = await build(replace(host, settings={"push_key": f"@{file}"}))
    assert set(parts.consumers) == {one.consumer for one in service.subscriptions}
