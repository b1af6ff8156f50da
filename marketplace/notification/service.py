"""The Notification service: its composition root. The service has no database."""

from shop.notification.v1 import notification_pb2 as pb

from marketplace.notification.adapters.eml_postman import EmlPostman
from marketplace.notification.adapters.user_contacts import UserContacts
from marketplace.notification.consumers import SUBSCRIPTIONS, consumers
from marketplace.notification.deps import Deps
from marketplace.notification.ports import Postman
from marketplace.notification.servicer import NotificationServicer
from souk.sdk import Service, ServiceContext, ServiceParts

__all__ = ["build", "service"]

MAILBOX = "mailbox"


async def build(context: ServiceContext, postman: Postman | None = None) -> ServiceParts:
    """Puts the service together; letters go to the folder `mailbox` unless another postman is passed."""
    deps = Deps(UserContacts(context.channel("user")), postman or EmlPostman(context.folder / MAILBOX))
    return ServiceParts(servicer=NotificationServicer(), consumers=consumers(deps))


service = Service(
    name="notification",
    contract=pb.DESCRIPTOR.services_by_name["NotificationService"],
    build=build,
    subscriptions=SUBSCRIPTIONS,
)
