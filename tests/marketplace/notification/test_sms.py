"""Text messages, over a server with Twilio's API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shop.order.v1 import order_pb2 as order
from shop.user.v1 import user_pb2 as user

from marketplace.notification.adapters.twilio import LONGEST, TwilioSms, is_signed, signature_of
from marketplace.notification.domain import Sms
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from marketplace.notification.service import build
from marketplace.notification.settings import SmsSettings
from souk.events.consumer import is_away
from souk.events.envelope import Event
from souk.kernel.errors import ConfigurationError, PoisonedEvent
from souk.runtime.service import ServiceContext, ServiceParts
from souk.testing.clocks import FakeClock
from tests.marketplace.notification.providers import ACCOUNT, NUMBER, TOKEN, SmsProvider, failure, serving
from tests.marketplace.notification.test_mails import event_of

HELLO = Sms("EVT-1", "+15557654321", "Your order is on its way & will come: 24,00 € / شكرًا")


@asynccontextmanager
async def sending(clock: FakeClock, token: str = TOKEN) -> AsyncIterator[tuple[SmsProvider, TwilioSms]]:
    async with serving(SmsProvider()) as provider:
        sender = TwilioSms(SmsSettings(ACCOUNT, token, NUMBER, provider.url, timeout=2.0), clock)
        try:
            yield provider, sender
        finally:
            await sender.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_message_is_taken_as_it_is(clock: FakeClock) -> None:
    async with sending(clock) as (provider, sender):
        await sender.send(HELLO)
        await sender.send(Sms("EVT-2", HELLO.to, "x" * 2_000))
    first, second = provider.taken
    assert first == {"To": HELLO.to, "From": NUMBER, "Body": HELLO.text}
    assert len(second["Body"]) == LONGEST


@pytest.mark.parametrize(
    ("status", "code", "end"),
    [
        (400, 21211, RecipientGone),
        (400, 21610, RecipientGone),
        (400, 21614, RecipientGone),
        (400, 21408, DeliveryRefused),
        (400, 21617, DeliveryRefused),
        (400, 21606, DeliveryPostponed),
        (401, 20003, DeliveryPostponed),
        (403, 20005, DeliveryPostponed),
        (429, 20429, DeliveryPostponed),
        (500, 20500, DeliveryPostponed),
        (503, 20503, DeliveryPostponed),
        (302, 0, DeliveryRefused),
    ],
)
async def test_each_refusal_ends_as_it_should(clock: FakeClock, status: int, code: int, end: type[Exception]) -> None:
    async with sending(clock) as (provider, sender):
        provider.reply = failure(status, code, f"about {HELLO.to}")
        with pytest.raises(end) as refused:
            await sender.send(HELLO)
        assert is_away(refused.value) == (end is DeliveryPostponed)
        assert HELLO.to not in str(refused.value)


async def test_a_number_that_is_none_is_given_up_by_the_provider(clock: FakeClock) -> None:
    async with sending(clock) as (_, sender):
        with pytest.raises(RecipientGone, match="21211"):
            await sender.send(Sms("EVT-1", "0", "x"))


async def test_a_wrong_token_gives_no_message_up(clock: FakeClock) -> None:
    async with sending(clock, token="wrong") as (_, sender):
        with pytest.raises(DeliveryPostponed, match="20003") as refused:
            await sender.send(HELLO)
        assert "wrong" not in str(refused.value)


@pytest.mark.parametrize("said", [{"retry_after": "30"}, {"retry_after": "Fri, 15 Jan 2100 08:00:30 GMT"}, {}])
async def test_it_is_left_alone_as_long_as_it_wants(clock: FakeClock, said: dict[str, str]) -> None:
    async with sending(clock) as (provider, sender):
        provider.reply = failure(429, 20429, "Too Many Requests", **said)
        for _ in range(3):
            with pytest.raises(DeliveryPostponed):
                await sender.send(HELLO)
        assert len(provider.asked) == 1
        clock.advance(3_601.0)
        provider.reply = None
        await sender.send(HELLO)
        assert len(provider.asked) == 2


async def test_a_provider_that_is_away_or_hangs_up(clock: FakeClock) -> None:
    async with sending(clock) as (provider, sender):
        provider.drops = True
        with pytest.raises(DeliveryPostponed):
            await sender.send(HELLO)
        provider.drops = False
        await provider.stop()
        with pytest.raises(DeliveryPostponed):
            await sender.send(HELLO)
        await provider.start()
        await sender.send(HELLO)


async def test_what_is_no_answer_of_the_provider_gives_nothing_away(clock: FakeClock) -> None:
    async with sending(clock) as (provider, sender):
        provider.reply = (400, {}, ["not", "an", "object"])
        with pytest.raises(DeliveryRefused, match="400"):
            await sender.send(HELLO)


async def test_a_buyer_with_a_number_gets_a_text_message(
    host: ServiceContext, users: Any, placed: order.Order, tmp_path: Path
) -> None:
    users.contacts = {
        "U-1": user.Contact(email="m@example.com", name="Mina", locale="fr", phone="+33612345678"),
        "U-2": user.Contact(email="o@example.com", name="Omar"),
        "U-3": user.Contact(email="a@example.com", name="Ada", phone="+15550002222", unsubscribed=True),
        "U-4": user.Contact(email="b@example.com", name="Bo", phone="+15550003333"),
    }
    async with serving(SmsProvider()) as provider:
        secret = tmp_path / "sms"
        secret.write_text(f"http://{ACCOUNT}:{TOKEN}@127.0.0.1:{provider.port}")
        parts = await build(replace(host, settings={"sms": f"@{secret}", "sms_sender": NUMBER}))

        async def shipped(user_id: str) -> None:
            await parts.consumers["texts"](event_of(order.OrderShipped(user_id=user_id, order=placed)))

        for user_id in ("U-1", "U-2", "U-3", "U-gone"):
            await shipped(user_id)
        assert provider.taken == [
            {"To": "+33612345678", "From": NUMBER, "Body": "Souk: Votre commande ORD-1 est en route"}
        ]
        provider.reply = failure(400, 21610, "unsubscribed")
        await shipped("U-4")
        provider.reply = failure(400, 21617, "too long")
        with pytest.raises(PoisonedEvent, match="21617"):
            await shipped("U-4")
        provider.reply = failure(500, 0, "")
        with pytest.raises(DeliveryPostponed):
            await shipped("U-4")
        _, texts, _ = parts.collectors
        found = {s.labels["outcome"]: s.value for m in texts.collect() for s in m.samples if s.name.endswith("_total")}
        assert found == {"sent": 1, "suppressed": 2, "refused": 1, "postponed": 1}
        with pytest.raises(PoisonedEvent):
            await parts.consumers["texts"](Event(id="E", type="shop.order.v1.OrderShipped", payload=b"\xff\xff"))
        held = [asyncio.ensure_future(task()) for task in parts.tasks.values()]
        await asyncio.sleep(0)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_without_a_provider_no_text_message_is_sent(parts: ServiceParts, users: Any, placed: order.Order) -> None:
    users.contacts["U-1"] = user.Contact(email="m@example.com", name="Mina", phone="+33612345678")
    await parts.consumers["texts"](event_of(order.OrderShipped(user_id="U-1", order=placed)))
    assert users.callers == []


@pytest.mark.parametrize(
    "settings",
    [
        {"sms": "https://api.twilio.com", "sms_sender": NUMBER},
        {"sms": "https://AC:hunter2@", "sms_sender": NUMBER},
        {"sms": "https://AC:hunter2@[::1", "sms_sender": NUMBER},
        {"sms": "http://AC:hunter2@api.twilio.com", "sms_sender": NUMBER},
        {"sms": "ftp://AC:hunter2@api.twilio.com", "sms_sender": NUMBER},
        {"sms": "https://AC:hunter2@api.twilio.com/path", "sms_sender": NUMBER},
        {"sms": "https://AC:hunter2@api.twilio.com"},
        {"sms": "https://AC:hunter2@api.twilio.com", "sms_sender": "+0"},
        {"sms": "@/nowhere"},
    ],
)
async def test_a_wrong_setting_stops_the_start_in_one_line(host: ServiceContext, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="sms") as refused:
        await build(replace(host, settings=settings))
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_signature_is_twilios() -> None:
    """Twilio's own example, of its documentation and its libraries' tests."""
    form = {"CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}
    form["Caller"] = "+14158675309"
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert signature_of("12345", url, form) == signature
    assert is_signed("12345", url, form, signature)
    wrong: list[tuple[str, str, Any, str]] = [
        ("12346", url, form, signature),
        ("12345", f"{url}0", form, signature),
        ("12345", url, {**form, "Digits": "1"}, signature),
        ("12345", url, form, signature[1:]),
        ("12345", url, form, "é"),
    ]
    assert not any(is_signed(*one) for one in wrong)
