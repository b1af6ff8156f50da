"""The adapter that reads contacts from the User service."""

import grpc.aio
from shop.user.v1.user_pb2 import ForgetPushSubscriptionRequest, GetContactRequest
from shop.user.v1.user_pb2_grpc import UserServiceStub

from marketplace.notification.domain import Contact, PushSubscription
from souk.sdk import acting_as, current, failure_of

USER_NOT_FOUND = "USER_NOT_FOUND"


class UserContacts:
    """Implements the port Contacts by calls to User."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._user = UserServiceStub(channel)

    async def find(self, user_id: str, *, with_browsers: bool = False) -> Contact | None:
        """Calls User each time: a contact is never cached."""
        request = GetContactRequest(user_id=user_id, with_browsers=with_browsers)
        with acting_as("notification", deadline=current().deadline):
            try:
                contact = await self._user.GetContact(request)
            except grpc.aio.AioRpcError as error:
                if failure_of(error).reason == USER_NOT_FOUND:
                    return None
                raise
        return Contact(
            email=contact.email,
            name=contact.name,
            locale=contact.locale,
            unsubscribed=contact.unsubscribed,
            unsubscribe_token=contact.unsubscribe_token,
            phone=contact.phone,
            browsers=tuple(PushSubscription(one.endpoint, one.keys.p256dh, one.keys.auth) for one in contact.browsers),
        )

    async def forget_browser(self, user_id: str, endpoint: str) -> None:
        """Calls User."""
        with acting_as("notification", deadline=current().deadline):
            request = ForgetPushSubscriptionRequest(user_id=user_id, endpoint=endpoint)
            await self._user.ForgetPushSubscription(request)
