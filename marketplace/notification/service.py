"""The Notification service: its composition root. It keeps nothing."""

from shop.notification.v1 import notification_pb2 as pb

from marketplace.notification.adapters.eml_postman import EmlPostman
from marketplace.notification.adapters.user_contacts import UserContacts
from marketplace.notification.consumers import SUBSCRIPTIONS, consumers
from marketplace.notification.deps import Deps
from marketplace.notification.ports import Postman
from marketplace.notification.servicer import NotificationServicer
from souk.runtime.service import Host, Parts, Service

__all__ = ["build", "service"]

MAILBOX = "mailbox"


async def build(host: Host, postman: Postman | None = None) -> Parts:
    """Puts the service together; letters go into the folder `mailbox` unless another postman comes."""
    deps = Deps(UserContacts(host.channel("user")), postman or EmlPostman(host.folder / MAILBOX))
    return Parts(servicer=NotificationServicer(), consumers=consumers(deps))


service = Service(
    name="notification",
    contract=pb.DESCRIPTOR.services_by_name["NotificationService"],
    build=build,
    subscriptions=SUBSCRIPTIONS,
)
