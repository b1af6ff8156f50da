"""The dependencies of Notification's use cases, put together once by the composition root."""

from dataclasses import dataclass

from marketplace.notification.ports import Contacts, Postman


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports that the use cases call."""

    contacts: Contacts
    postman: Postman
