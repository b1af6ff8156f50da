"""The Notification service: its composition root. The service has no database."""

from collections.abc import Callable

from shop.notification.v1 import notification_pb2 as pb

from marketplace.notification.adapters.eml_postman import EmlPostman
from marketplace.notification.adapters.smtp.connections import SmtpConnections
from marketplace.notification.adapters.smtp.postman import SmtpPostman
from marketplace.notification.adapters.twilio import TwilioSms
from marketplace.notification.adapters.user_contacts import UserContacts
from marketplace.notification.adapters.vapid import Vapid, read_key
from marketplace.notification.adapters.web_push import SERVICES, WebPush
from marketplace.notification.background import message_counts, tasks
from marketplace.notification.consumers import SUBSCRIPTIONS, consumers
from marketplace.notification.deps import Deps, Pushing
from marketplace.notification.domain import MailRate
from marketplace.notification.ports import Postman
from marketplace.notification.servicer import NotificationServicer
from marketplace.notification.settings import SETTINGS, NotificationSettings, PushSettings, read_settings
from souk.sdk import Service, ServiceContext, ServiceParts

__all__ = ["MAILBOX", "build", "service"]

MAILBOX = "mailbox"
"""The folder of mails in the service's own, for a system without a mail server."""


async def build(context: ServiceContext, postman: Postman | None = None) -> ServiceParts:
    """Puts the service together; tests pass another postman."""
    settings = read_settings(context.settings)
    postman = postman or _postman(context, settings)
    sms = None if settings.sms is None else TwilioSms(settings.sms, context.clock, context.tracer)
    mails, texts, pushes = message_counts()
    pushing = _pushing(context, settings.push, pushes.count)
    deps = Deps(
        contacts=UserContacts(context.channel("user")),
        postman=postman,
        count=mails.count,
        rate=MailRate(settings.rate),
        clock=context.clock,
        public_url=settings.public_url,
        sms=sms,
        count_sms=texts.count,
        pushing=pushing,
    )
    return ServiceParts(
        servicer=NotificationServicer(pushing.public_key if pushing else ""),
        consumers=consumers(deps),
        tasks=tasks(postman, sms, pushing.sender if pushing else None),
        drain=postman.drain,
        collectors=(mails.collector, texts.collector, pushes.collector),
    )


def _postman(context: ServiceContext, settings: NotificationSettings) -> Postman:
    if settings.smtp is None:
        return EmlPostman(context.folder / MAILBOX, settings.sender)
    connections = SmtpConnections(settings.smtp, settings.sender.domain, context.clock)
    return SmtpPostman(connections, settings.sender, context.clock, tracer=context.tracer)


def _pushing(context: ServiceContext, settings: PushSettings | None, count: Callable[[str], None]) -> Pushing | None:
    if settings is None:
        return None
    vapid = Vapid(read_key(settings.key.encode()), settings.contact, context.clock)
    sender = WebPush(vapid, context.clock, settings.services or SERVICES, context.tracer)
    return Pushing(sender, vapid.public_key, count)


service = Service(
    name="notification",
    contract=pb.DESCRIPTOR.services_by_name["NotificationService"],
    build=build,
    subscriptions=SUBSCRIPTIONS,
    settings=SETTINGS,
    calls=("user",),
    reaches=("smtp", "sms", "push_key"),
)
