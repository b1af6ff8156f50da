"""What the service needs, in its words."""

from typing import Protocol

from marketplace.notification.domain import Contact, Letter


class Contacts(Protocol):
    """Knows how to reach buyers."""

    async def find(self, user_id: str) -> Contact | None:
        """How to reach a user; None for one who was erased. Raises when nobody can say right now."""
        ...


class Postman(Protocol):
    """Takes letters away.

    A letter that was taken is not lost. The same letter may be brought again: a postman that can
    recognise it by its id delivers it once.
    """

    async def take(self, letter: Letter) -> None:
        """Returns once the letter is on its way; raises when it is to be brought again later."""
        ...
