"""What buyers are sent, once for each event."""

import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from shop.notification.v1 import notification_pb2 as pb
from shop.order.v1 import order_pb2 as order
from shop.payment.v1 import payment_pb2 as payment
from shop.user.v1 import user_pb2 as user

from marketplace.notification.domain import Content, Line, Script, render
from marketplace.notification.service import service
from marketplace.notification.templates import TEMPLATES
from souk.events.envelope import Event
from souk.kernel.errors import DomainError, InvalidArgument, PoisonedEvent
from souk.runtime.service import ServiceParts
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()


def event_of(payload: Message, event_id: str = "EVT-1") -> Event:
    event = Event(id=event_id, type=payload.DESCRIPTOR.full_name, payload=payload.SerializeToString())
    event.time.FromMicroseconds(1_800_000_000_000_000)
    return event


def mailbox(folder: Path) -> dict[str, EmailMessage]:
    found: dict[str, EmailMessage] = {}
    for path in sorted((folder / "mailbox").glob("*")):
        found[path.name] = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    return found


def forms(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


async def test_a_confirmed_order_is_mailed(
    parts: ServiceParts, tmp_path: Path, placed: order.Order, users: Any
) -> None:
    await parts.consumers["mails"](event_of(order.OrderConfirmed(user_id="U-1", order=placed)))
    ((name, message),) = mailbox(tmp_path).items()
    assert name == "EVT-1.eml"
    assert message.get_content_type() == "multipart/alternative"
    assert message["Subject"] == "Your order ORD-1 is confirmed"
    assert message["To"].addresses[0].addr_spec == "mina@example.com"
    assert message["Date"].datetime.timestamp() == 1_800_000_000
    text, html = forms(message)
    assert "2 x P-101" in text
    assert "€24.00" in text
    assert "€24.00" in html
    assert "Hello Mina <b>M.</b>," in text
    assert "Mina &lt;b&gt;M.&lt;/b&gt;" in html
    (caller,) = users.callers
    assert (caller.service, caller.subject) == ("notification", "")


async def test_a_repeat_is_the_same_file_byte_by_byte(parts: ServiceParts, tmp_path: Path, placed: order.Order) -> None:
    event = event_of(order.OrderShipped(user_id="U-1", order=placed))
    written = set()
    for _ in range(2):
        await parts.consumers["mails"](event)
        (path,) = (tmp_path / "mailbox").iterdir()
        written.add(path.read_bytes())
    assert len(written) == 1


def payloads(placed: order.Order) -> list[Message]:
    return [
        order.OrderConfirmed(user_id="U-1", order=placed),
        order.OrderRejected(user_id="U-1", order=placed, reason="PAYMENT_DECLINED"),
        order.OrderCancelled(user_id="U-1", order=placed),
        order.OrderShipped(user_id="U-1", order=placed),
        payment.PaymentRefunded(user_id="U-1", order_id="ORD-1", amount=500, refunded_total=700, currency="EUR"),
    ]


async def test_every_subscription_has_a_template_that_works(
    parts: ServiceParts, tmp_path: Path, placed: order.Order
) -> None:
    assert [one.consumer for one in service.subscriptions] == ["mails", "texts", "pushes"]
    heard = set(service.subscriptions[0].types)
    assert heard == set(TEMPLATES) == {payload.DESCRIPTOR.full_name for payload in payloads(placed)}
    for number, payload in enumerate(payloads(placed)):
        await parts.consumers["mails"](event_of(payload, f"EVT-{number}"))
    found = mailbox(tmp_path)
    assert len(found) == 5
    assert all("ORD-1" in message["Subject"] for message in found.values())
    assert "the payment was declined" in forms(found["EVT-1.eml"])[0]
    assert "€5.00" in forms(found["EVT-4.eml"])[0]


async def test_an_erased_user_is_not_written_to(
    parts: ServiceParts, tmp_path: Path, placed: order.Order, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        await parts.consumers["mails"](event_of(order.OrderConfirmed(user_id="U-gone", order=placed)))
    assert not (tmp_path / "mailbox").exists()
    assert "EVT-1" in caplog.text


async def test_an_event_is_sent_again_while_user_is_away(parts: ServiceParts, users: Any, placed: order.Order) -> None:
    users.error = RuntimeError("no database")
    with pytest.raises(grpc.aio.AioRpcError):
        await parts.consumers["mails"](event_of(order.OrderConfirmed(user_id="U-1", order=placed)))


@pytest.mark.parametrize(
    "event",
    [
        Event(id="E", type="shop.order.v1.OrderDreamt"),
        Event(id="E", type="shop.order.v1.OrderConfirmed", payload=b"\xff\xff"),
        Event(id="E", type="shop.order.v1.OrderConfirmed"),
    ],
)
async def test_what_can_never_be_written_is_parked(parts: ServiceParts, event: Event) -> None:
    with pytest.raises(PoisonedEvent):
        await parts.consumers["mails"](event)


@pytest.mark.parametrize("event_id", ["../../etc/passwd", "a/b", "", "x" * 300, ".hidden"])
async def test_an_id_cannot_leave_the_mailbox(
    parts: ServiceParts, tmp_path: Path, placed: order.Order, event_id: str
) -> None:
    await parts.consumers["mails"](event_of(order.OrderConfirmed(user_id="U-1", order=placed), event_id))
    ((name, _),) = mailbox(tmp_path).items()
    assert len(name) == 68
    assert [path.name for path in tmp_path.iterdir()] == ["mailbox"]


@pytest.mark.parametrize(
    "name",
    [
        'Мина "ミナ", Esq.',
        "=?utf-8?q?Your_bank?=",
        "Mina =?utf-8?b?PGJhbmtAZXhhbXBsZS5jb20+?= Demo",
        "=?",
        "a" * 100,
    ],
)
async def test_every_name_reaches_the_header_as_it_is(
    parts: ServiceParts, tmp_path: Path, users: Any, placed: order.Order, name: str
) -> None:
    users.contacts["U-1"] = user.Contact(email="m@example.com", name=name)
    await parts.consumers["mails"](event_of(order.OrderConfirmed(user_id="U-1", order=placed)))
    ((_, message),) = mailbox(tmp_path).items()
    assert message["To"].addresses[0].display_name == name
    (raw,) = (tmp_path / "mailbox").iterdir()
    line = raw.read_bytes().partition(b"\r\nSubject")[0].partition(b"To: ")[2].replace(b"\r\n ", b" ")
    # As a client sees it that looks for encoded words everywhere, also where there are none.
    assert str(make_header(decode_header(line.decode()))).replace('"', "").startswith(name.replace('"', ""))


async def test_a_message_can_be_rendered_without_sending(
    parts: ServiceParts, tmp_path: Path, placed: order.Order
) -> None:
    servicer: Any = parts.servicer
    payload = order.OrderConfirmed(user_id="U-1", order=placed).SerializeToString()
    request = pb.RenderMessageRequest(event_type="shop.order.v1.OrderConfirmed", payload=payload, name="<i>")
    message = await servicer.RenderMessage(request, CONTEXT)
    assert message.subject == "Your order ORD-1 is confirmed"
    assert "Hello <i>," in message.text
    assert "Hello &lt;i&gt;," in message.html
    assert not (tmp_path / "mailbox").exists()
    with pytest.raises(DomainError, match="UNKNOWN_TEMPLATE"):
        await servicer.RenderMessage(pb.RenderMessageRequest(event_type="x"), CONTEXT)
    with pytest.raises(InvalidArgument):
        request.payload = b"\xff"
        await servicer.RenderMessage(request, CONTEXT)


@given(st.text(max_size=50), st.text(max_size=50))
def test_html_holds_no_markup_from_outside(name: str, label: str) -> None:
    evil = f"<script>{name}</script>"
    html = render(Content("S", evil, (Line(f"<img {label}>", evil),), evil), Script("en", False, evil)).html
    assert "<script" not in html
    assert "<img" not in html
