"""Notification in Node: the same contract, the same letters, and a process of the fleet like any other."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shop.notification.v1 import notification_pb2 as pb
from shop.notification.v1.notification_pb2_grpc import NotificationServiceStub
from shop.order.v1 import order_pb2 as order
from shop.payment.v1 import payment_pb2 as payment
from soukapi.v1.event_pb2 import DeliverRequest, DeliverResponse, Event
from soukapi.v1.event_pb2_grpc import EventSinkStub
from soukapi.v1.fleet_pb2 import GetStatusRequest
from soukapi.v1.fleet_pb2_grpc import ProcessStub

from marketplace.notification.adapters.email_format import email_of
from marketplace.notification.domain import Contact, Letter, Sender
from marketplace.notification.templates import TEMPLATES
from marketplace.notification.use_cases.render_message import RenderMessage, render_message
from souk.discovery.embedded.server import serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.kernel.context import NOBODY
from souk.rpc.caller_token import CALLER_KEY, CallerTokens
from souk.rpc.status import details_of
from souk.telemetry import traces
from tests.examples.conftest import DELIVER, RENDER, SECRET, Node, Stage

PLACED = order.Order(
    id="ORD-1",
    items=[
        order.OrderItem(product_id="P-101", quantity=2, price=1_200),
        order.OrderItem(product_id='P-<b>"&', quantity=1_000, price=9_007_199_254_740_991),
    ],
    total=9_007_199_254_740_993_400,
    currency="EUR",
    created_at=Timestamp(seconds=1_790_000_000),
)
EVENTS: tuple[Message, ...] = (
    order.OrderConfirmed(user_id="U-1", order=PLACED),
    order.OrderConfirmed(user_id="U-1"),
    order.OrderRejected(user_id="U-1", order=PLACED, reason="OUT_OF_STOCK"),
    order.OrderRejected(user_id="U-1", order=PLACED, reason="toString"),
    order.OrderCancelled(user_id="U-1", order=PLACED),
    order.OrderShipped(user_id="U-1", order=PLACED),
    payment.PaymentRefunded(user_id="U-1", order_id="ORD-1", amount=5, refunded_total=-1_234_567, currency="JPY"),
    payment.PaymentRefunded(user_id="U-1", order_id="ORD-1", amount=5, refunded_total=1_234_567, currency="KWD"),
)
ROOT = Path(__file__).parents[2]
TIME = Timestamp(seconds=1_790_000_000, nanos=123_456_789)
TRACE = traces.new()


def type_of(message: Message) -> str:
    return str(message.DESCRIPTOR.full_name)


def event(id_: str, message: Message, key: str = "ORD-1") -> Event:
    return Event(
        id=id_,
        type=type_of(message),
        source="order",
        key=key,
        time=TIME,
        payload=message.SerializeToString(),
        traceparent=TRACE.traceparent,
    )


async def deliver(node: Node, *events: Event, consumer: str = "mails") -> DeliverResponse:
    async with node.channel() as channel:
        request = DeliverRequest(consumer=consumer, events=events)
        answer: DeliverResponse = await EventSinkStub(channel).Deliver(request, metadata=node.caller(), timeout=20)
        return answer


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, Any]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    details = details_of(tuple(raised.value.trailing_metadata() or ()))
    return raised.value.code(), details.reason, details


def read(letter: bytes) -> EmailMessage:
    return message_from_bytes(letter, policy=policy.default)


def written_here(id_: str, message: Message, contact: Contact) -> bytes:
    """Makes the mail as the service in Python writes it."""
    command = RenderMessage(type_of(message), message.SerializeToString(), contact.name, contact.locale)
    return email_of(Letter(id_, contact, render_message(command), TIME.ToMicroseconds()), Sender())


async def test_it_renders_what_the_other_renders(stage: Stage) -> None:
    node = await stage.start()
    async with node.channel() as channel:
        stub = NotificationServiceStub(channel)
        for message in EVENTS:
            for name, locale in (
                ("Mina", "en"),
                ("", "fr"),
                ("<script>'&\"", ""),
                ("عمر", "ar"),
                ("M", "ar-EG"),
                ("M", "de"),
            ):
                payload = message.SerializeToString()
                there = await stub.RenderMessage(
                    pb.RenderMessageRequest(event_type=type_of(message), payload=payload, name=name, locale=locale),
                    metadata=node.calling(RENDER),
                )
                here = render_message(RenderMessage(type_of(message), payload, name, locale))
                assert (there.subject, there.text, there.html) == (here.subject, here.text, here.html)


async def test_what_it_cannot_render_is_refused_as_the_contract_says(stage: Stage) -> None:
    node = await stage.start()
    async with node.channel() as channel:
        stub = NotificationServiceStub(channel)
        unknown = pb.RenderMessageRequest(event_type="constructor")
        code, reason, details = await refusal(stub.RenderMessage(unknown, metadata=node.calling(RENDER)))
        assert (code, reason, details.domain) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TEMPLATE", "notification")
        for payload in (b"\xff\xff", b""):
            wrong = pb.RenderMessageRequest(event_type="shop.order.v1.OrderShipped", payload=payload)
            code, reason, details = await refusal(stub.RenderMessage(wrong, metadata=node.calling(RENDER)))
            assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
            (request,) = (one for one in details.messages if isinstance(one, error_details_pb2.BadRequest))
            assert [violation.field for violation in request.field_violations] == ["payload"]


async def test_only_services_of_the_installation_may_call(stage: Stage) -> None:
    node = await stage.start()

    def signed(tokens: CallerTokens, audience: str = "notification", method: str = DELIVER) -> str:
        return tokens.sign(NOBODY, audience, method)

    ours = signed(node.tokens)
    refused = [
        signed(CallerTokens(b"of another installation, just as long", "order", SystemClock())),
        signed(CallerTokens(SECRET.encode(), "order", SystemClock(), lifetime=-60.0)),
        signed(node.tokens, audience="user"),
        signed(node.tokens, method=RENDER),
        *(ours[:-1], f"x{ours}", "x"),
    ]
    nobody = [signed(CallerTokens(SECRET.encode(), "", SystemClock())), ""]
    async with node.channel() as channel:
        for token in (*refused, *nobody):
            metadata = ((CALLER_KEY, token),)
            call = EventSinkStub(channel).Deliver(DeliverRequest(consumer="mails"), metadata=metadata)
            code, reason, _ = await refusal(call)
            fault = (grpc.StatusCode.UNAVAILABLE, "CALLER_TOKEN_REFUSED")
            assert (code, reason) == (
                fault if token in refused else (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
            )
        code, _, _ = await refusal(EventSinkStub(channel).Deliver(DeliverRequest(consumer="mails")))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert await EventSinkStub(channel).Deliver(DeliverRequest(consumer="mails"), metadata=node.caller())
        others = DeliverRequest(consumer="mails", events=[Event(id="E-1", source="payment")])
        code, reason, _ = await refusal(EventSinkStub(channel).Deliver(others, metadata=node.caller()))
        assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN")


def test_its_texts_are_those_of_the_other() -> None:
    ours = ROOT / "marketplace" / "notification" / "templates" / "texts"
    theirs = ROOT / "examples" / "notification-node" / "texts"
    assert {one.name: one.read_bytes() for one in theirs.iterdir()} == {
        one.name: one.read_bytes() for one in ours.iterdir()
    }


@pytest.mark.parametrize("locale", ["en", "ar"])
async def test_it_writes_the_letters_that_the_other_writes(stage: Stage, locale: str) -> None:
    stage.users.contacts["U-1"].locale = locale
    node = await stage.start()
    events = [event(f"E-{number}", message, f"key {number}") for number, message in enumerate(EVENTS)]
    answer = await deliver(node, *events)
    assert [(one.event_id, one.poison, one.failure) for one in answer.results] == [(one.id, "", "") for one in events]
    letters = node.letters()
    assert letters.keys() == {one.id for one in events}
    buyer = Contact("mina@example.com", 'Mina "M." Sørensen', locale)
    for sent, message in zip(events, EVENTS, strict=True):
        there, here = read(letters[sent.id]), read(written_here(sent.id, message, buyer))
        assert not there.defects
        assert there.items() == here.items()
        assert there["to"].addresses == here["to"].addresses
        for kind in ("plain", "html"):
            mine, other = there.get_body((kind,)), here.get_body((kind,))
            assert mine is not None
            assert other is not None
            assert mine.get_content() == other.get_content()
        assert max(map(len, letters[sent.id].partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76


async def test_who_has_unsubscribed_gets_what_is_about_money_alone(stage: Stage) -> None:
    stage.users.contacts["U-1"].unsubscribed = True
    node = await stage.start()
    events = [event(f"E-{number}", message, f"key {number}") for number, message in enumerate(EVENTS)]
    answer = await deliver(node, *events)
    assert [one.poison or one.failure for one in answer.results] == [""] * len(events)
    essential = {one.id for one in events if TEMPLATES[one.type].essential}
    assert node.letters().keys() == essential < {one.id for one in events}


async def test_it_asks_user_as_itself_within_the_trace_of_the_event(stage: Stage) -> None:
    node = await stage.start()
    await deliver(node, event("E-1", EVENTS[0]))
    ((caller, header),) = stage.users.asked
    assert (caller.service, caller.subject) == ("notification", "")
    found = traces.parse(header)
    assert found is not None
    assert (found.trace_id, found.sampled) == (TRACE.trace_id, True)
    assert found.span_id != TRACE.span_id
    (written,) = (line for line in node.log() if line["event"] == "a letter is written")
    assert (written["trace_id"], written["event_id"]) == (TRACE.trace_id, "E-1")
    assert "mina@" not in str(node.log())


async def test_how_events_end(stage: Stage) -> None:
    node = await stage.start()
    gone = order.OrderShipped(user_id="U-gone", order=PLACED)
    answer = await deliver(
        node,
        event("E-1", gone, "a"),
        event("E-2", payment.PaymentRefunded(), "b"),
        event("E-3", order.OrderDelivered(user_id="U-1"), "c"),
    )
    assert [(one.event_id, one.poison) for one in answer.results] == [
        ("E-1", ""),
        ("E-2", "the shop.payment.v1.PaymentRefunded names no user"),
        ("E-3", "there is no template for shop.order.v1.OrderDelivered"),
    ]
    async with node.channel() as channel:
        call = EventSinkStub(channel).Deliver(DeliverRequest(consumer="toString"), metadata=node.caller())
        code, reason, _ = await refusal(call)
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONSUMER")
    stage.users.contacts["U-evil"] = stage.users.contacts["U-1"].__class__(email="a@b\r\nBcc: c@d", name="x")
    evil = order.OrderShipped(user_id="U-evil", order=PLACED)
    answer = await deliver(node, event("E-4", evil), event("E-5", EVENTS[0]))
    assert [(one.event_id, one.failure) for one in answer.results] == [("E-4", "TypeError")]


async def test_events_wait_while_user_is_away(stage: Stage) -> None:
    node = await stage.start(SOUK_REGISTRY=f"unix:{stage.folder / 'nobody.sock'}")
    answer = await deliver(node, event("E-1", EVENTS[0]), event("E-2", EVENTS[0], "other"))
    assert list(answer.results) == []
    assert any(line["event"] == "an event is postponed" and line["trace_id"] == TRACE.trace_id for line in node.log())


async def test_it_is_found_like_the_others_and_leaves(stage: Stage) -> None:
    control = stage.folder / "control.sock"
    node = await stage.start(SOUK_VERSION="1.2.3", SOUK_ZONE="here", SOUK_WEIGHT="5", SOUK_CONTROL=str(control))
    (found,) = stage.registry.instances("notification")
    assert (found.id, found.address) == ("notification-7", node.address)
    assert (found.version, found.zone, found.weight) == ("1.2.3", "here", 5)
    assert found.metadata["runtime"].startswith("node-v")
    async with node.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    async with grpc.aio.insecure_channel(f"unix:{control}") as channel:
        status = await ProcessStub(channel).GetStatus(GetStatusRequest())
    assert (status.service, status.instance, status.version) == ("notification", "notification-7", "1.2.3")
    assert control.stat().st_mode & 0o777 == 0o600
    stopping = asyncio.create_task(node.stop())
    await stage.registry.until("notification", lambda there: not there)
    assert await stopping == 0


async def test_in_a_mesh_it_is_found_at_its_sidecar_and_calls_through_it(stage: Stage) -> None:
    clock, advertised = SystemClock(), f"unix:{stage.folder / 'inbound.sock'}"
    async with serving_registry(stage.folder / "another.sock", clock) as registry:  # which knows no User
        mesh = {"SOUK_SIDECAR": stage.user, "SOUK_ADVERTISE": advertised, "SOUK_HOST": "127.0.0.1"}
        node = await stage.start(SOUK_REGISTRY=registry.url, **mesh)
        (found,) = registry.instances("notification")
        assert (found.address, found.metadata["app"]) == (advertised, node.address)
        assert node.address.startswith("127.0.0.1:")
        await deliver(node, event("E-1", EVENTS[0]))
        assert node.letters().keys() == {"E-1"}


async def test_killed_it_leaves_at_once_and_a_letter_is_there_once(stage: Stage) -> None:
    node = await stage.start()
    await deliver(node, event("E-1", EVENTS[0]))
    before = node.letters()
    await node.kill()
    async with asyncio.timeout(120):
        await stage.registry.until("notification", lambda there: not there)
    await node.start()
    await deliver(node, event("E-1", EVENTS[0]), event("E-2", EVENTS[0]))
    assert node.letters().keys() == {"E-1", "E-2"}
    assert node.letters()["E-1"] == before["E-1"]


async def test_it_outlives_the_registry_and_registers_with_the_next(stage: Stage) -> None:
    path, clock = stage.folder / "another.sock", SystemClock()
    client = await open_registry(f"unix:{path}", clock)
    async with serving_registry(path, clock):
        await client.register(Instance("user", "user-1", stage.user))
        node = await stage.start(SOUK_REGISTRY=f"unix:{path}")
        await deliver(node, event("E-1", EVENTS[0]))
    await client.close()
    await deliver(node, event("E-2", EVENTS[0]))
    assert node.letters().keys() == {"E-1", "E-2"}
    async with serving_registry(path, clock) as second, asyncio.timeout(120):
        (found,) = await second.until("notification")
        assert found.address == node.address
    said = [line["event"] for line in node.log()]
    assert "the registry is away; what was known stays in use" in said
    assert "the registry is back" in said


async def test_it_registers_at_a_port_with_the_secret_in_the_url(stage: Stage) -> None:
    clock = SystemClock()
    async with serving_registry("127.0.0.1:0", clock, secret="s/e c:r@t,%") as registry, asyncio.timeout(120):
        client = await open_registry(registry.url, clock)
        await client.register(Instance("user", "user-1", stage.user))
        node = await stage.start(SOUK_REGISTRY=registry.url)
        (found,) = await registry.until("notification")
        assert found.address == node.address
        await deliver(node, event("E-1", EVENTS[0]))
        assert node.letters().keys() == {"E-1"}
        await client.close()


@pytest.mark.parametrize(("secret", "said"), [("", "has a secret"), (":wrong@", "not this registry's")])
async def test_without_the_secret_it_says_so_and_is_not_there(stage: Stage, secret: str, said: str) -> None:
    async with serving_registry("127.0.0.1:0", secret="s3cr3t") as registry:
        node = await stage.start(SOUK_REGISTRY=f"grpc://{secret}{registry.url.rpartition('@')[2]}")
        why, *_ = (line["why"] for line in node.log() if line.get("purpose") == "register" and "why" in line)
        assert said in why
        assert "s3cr3t" not in str(node.log())
        assert registry.services() == ()


async def test_it_ends_although_somebody_is_still_connected(stage: Stage) -> None:
    node = await stage.start()
    async with node.channel() as channel:
        await EventSinkStub(channel).Deliver(DeliverRequest(consumer="mails"), metadata=node.caller())
        async with asyncio.timeout(120):
            assert await node.stop() == 0
