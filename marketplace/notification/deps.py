"""What every use case of Notification works with, put together once by the composition root."""

from dataclasses import dataclass

from marketplace.notification.ports import Contacts, Postman


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports."""

    contacts: Contacts
    postman: Postman
