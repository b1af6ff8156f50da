"""The Notification service: its composition root, its consumer, and its servicer. It keeps nothing."""

from typing import Any

import grpc.aio
from shop.notification.v1 import notification_pb2 as pb
from shop.notification.v1.notification_pb2_grpc import NotificationServiceServicer

from marketplace.notification.adapters.eml_postman import EmlPostman
from marketplace.notification.adapters.user_contacts import UserContacts
from marketplace.notification.ports import Postman
from marketplace.notification.templates import TEMPLATES
from marketplace.notification.use_cases.mail_event import MailEvent, mail_event
from marketplace.notification.use_cases.render_message import RenderMessage, render_message
from souk.events.envelope import Event
from souk.runtime.service import Host, Parts, Service, Subscription

__all__ = ["NotificationServicer", "build", "service"]

Context = grpc.aio.ServicerContext[Any, Any]
CONSUMER = "mails"
MAILBOX = "mailbox"


class NotificationServicer(NotificationServiceServicer):
    """shop.notification.v1.NotificationService."""

    async def RenderMessage(self, request: pb.RenderMessageRequest, context: Context) -> pb.Message:
        message = render_message(RenderMessage(request.event_type, request.payload, request.name))
        return pb.Message(subject=message.subject, text=message.text, html=message.html)


async def build(host: Host, postman: Postman | None = None) -> Parts:
    """Puts the service together; letters go into the folder `mailbox` unless another postman comes."""
    contacts = UserContacts(host.channel("user"))
    taker = postman or EmlPostman(host.folder / MAILBOX)

    async def mails(event: Event) -> None:
        command = MailEvent(event.id, event.type, event.payload, event.time.ToMicroseconds())
        await mail_event(command, contacts, taker)

    return Parts(servicer=NotificationServicer(), consumers={CONSUMER: mails})


service = Service(
    name="notification",
    contract=pb.DESCRIPTOR.services_by_name["NotificationService"],
    build=build,
    subscriptions=(Subscription(CONSUMER, tuple(TEMPLATES)),),
)
