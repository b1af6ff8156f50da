"""Text messages, over a server with Twilio's API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from marketplace.notification.adapters.twilio import LONGEST, TwilioSms, is_signed, signature_of
from marketplace.notification.domain import Sms
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from marketplace.notification.settings import SmsSettings
from souk.events.consumer import is_away
from souk.testing.clocks import FakeClock
from tests.marketplace.notification.providers import ACCOUNT, NUMBER, TOKEN, SmsProvider, failure, serving

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
