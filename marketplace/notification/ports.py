"""Ports: what Notification needs from other services and outside."""

from typing import Protocol

from marketplace.notification.domain import Contact, Letter


class Contacts(Protocol):
    """Finds the email addresses of buyers."""

    async def find(self, user_id: str) -> Contact | None:
        """Returns a user's contact; None for a user who was erased. Raises when it cannot be read right now."""
        ...


class Postman(Protocol):
    """Delivers letters.

    A letter that was taken is not lost. The same letter may be given again: a postman that can recognise it by
    its id delivers it once.
    """

    async def take(self, letter: Letter) -> None:
        """Takes a letter, and returns once it will be delivered; raises when it must be given again later."""
        ...
