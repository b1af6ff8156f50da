"""Mails, text messages and messages to browsers are client spans, with the server and without the reader."""

import pytest

from marketplace.notification.adapters.smtp.connections import SmtpConnections
from marketplace.notification.adapters.smtp.postman import SmtpPostman
from marketplace.notification.adapters.twilio import TwilioSms
from marketplace.notification.adapters.vapid import Vapid
from marketplace.notification.adapters.web_push import WebPush
from marketplace.notification.domain import Sender
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from marketplace.notification.settings import SmsSettings, SmtpSettings
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, use
from souk.telemetry.tracing.span import Span
from souk.testing.clocks import FakeClock
from souk.testing.recorded_spans import RecordedSpans
from tests.marketplace.notification.mail_server import mail_server
from tests.marketplace.notification.providers import (
    ACCOUNT,
    NUMBER,
    TOKEN,
    Browser,
    PushService,
    SmsProvider,
    failure,
    serving,
)
from tests.marketplace.notification.test_sms import HELLO
from tests.marketplace.notification.test_smtp import letter
from tests.marketplace.notification.test_web_push import KEY, push

PROCESS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


def only(spans: RecordedSpans) -> Span:
    (span,) = spans.ended
    assert (span.kind.name, span.trace_id, span.parent_id) == ("CLIENT", PROCESS[3:35], PROCESS[36:52])
    assert "mina" not in f"{span.name} {span.attributes}"
    return span


async def test_a_mail_is_under_what_waits_for_it(spans: RecordedSpans) -> None:
    async with mail_server() as server:
        connections = SmtpConnections(SmtpSettings("127.0.0.1", server.port), "souk.invalid", SystemClock())
        postman = SmtpPostman(connections, Sender(), SystemClock(), tracer=spans.tracer("notification"))
        with use(CallContext(traceparent=PROCESS)):
            await postman.take(letter())
            await postman.take(letter())  # it was sent: nothing happens
        span = only(spans)
        assert (span.name, span.error) == ("smtp send", "")
        assert span.attributes == {
            "server.address": "127.0.0.1",
            "server.port": server.port,
            "network.protocol.name": "smtp",
        }
        await postman.close()


async def test_a_refused_mail_has_the_code_of_the_reply(spans: RecordedSpans) -> None:
    async with mail_server(moods={"RCPT": "550 5.7.1 mina@example.com is not welcome"}) as server:
        connections = SmtpConnections(SmtpSettings("127.0.0.1", server.port), "souk.invalid", SystemClock())
        postman = SmtpPostman(connections, Sender(), SystemClock(), tracer=spans.tracer("notification"))
        with use(CallContext(traceparent=PROCESS)), pytest.raises((DeliveryRefused, RecipientGone)):
            await postman.take(letter())
        span = only(spans)
        assert (span.error, span.attributes["souk.smtp.reply_code"]) == ("SmtpRefusal", 550)
        await postman.close()


@pytest.mark.parametrize("status", [201, 400, 503])
async def test_a_text_message(spans: RecordedSpans, status: int) -> None:
    async with serving(SmsProvider()) as provider:
        if status != 201:
            provider.reply = failure(status, 21408, "not today")
        settings = SmsSettings(ACCOUNT, TOKEN, NUMBER, provider.url, timeout=10.0)
        sender = TwilioSms(settings, FakeClock(), spans.tracer("notification"))
        with use(CallContext(traceparent=PROCESS)):
            if status == 201:
                await sender.send(HELLO)
            else:
                with pytest.raises((DeliveryRefused, DeliveryPostponed)):
                    await sender.send(HELLO)
        await sender.close()
    span = only(spans)
    assert span.attributes["http.response.status_code"] == status
    assert (span.name, span.attributes["server.port"]) == ("POST", provider.port)
    assert (span.error, span.reason) == {201: ("", ""), 400: ("400", ""), 503: ("503", "failed")}[status]
    assert HELLO.to not in str(span.attributes)


async def test_a_message_to_a_browser(spans: RecordedSpans) -> None:
    clock = FakeClock()
    vapid = Vapid(KEY, "mailto:ops@shop.example", clock)
    async with serving(PushService(vapid.public_key, lambda: clock.now() / 1_000_000)) as service:
        sender = WebPush(vapid, clock, ("127.0.0.1",), spans.tracer("notification"))
        with use(CallContext(traceparent=PROCESS)):
            await sender.send(push(service, Browser()))
        await sender.close()
    span = only(spans)
    assert (span.name, span.error, span.attributes["server.port"]) == ("POST", "", service.port)
    assert "/push/abc" not in str(span.attributes)
