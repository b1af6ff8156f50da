"""Ports: what Notification needs from other services and outside."""

from typing import Protocol

from marketplace.notification.domain import Contact, Letter, Push, Sms


class DeliveryPostponed(ConnectionError):
    """The way to the reader cannot be used now: the event is sent again, without limit. The message says why."""


class DeliveryRefused(Exception):
    """This message is refused, and would be again. The message says why, without an address."""


class RecipientGone(Exception):
    """The address does not exist any more: nothing is sent to it, and nobody can do anything about it."""


class Contacts(Protocol):
    """Finds how to reach buyers."""

    async def find(self, user_id: str, *, with_browsers: bool = False) -> Contact | None:
        """Returns a user's contact; None for a user who was erased. Raises when it cannot be read right now."""
        ...

    async def forget_browser(self, user_id: str, endpoint: str) -> None:
        """Forgets a user's browser, which is gone. Raises when that cannot be done right now."""
        ...


class SmsSender(Protocol):
    """Sends text messages, at least once: one whose answer was lost may arrive twice."""

    async def send(self, sms: Sms) -> None:
        """Sends a text message, and returns once the provider has taken it.

        Raises DeliveryRefused and RecipientGone; any other exception means that it must be sent again later.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


class PushSender(Protocol):
    """Sends messages to browsers, at least once: a repeat replaces the message before."""

    async def send(self, push: Push) -> None:
        """Sends a message, and returns once the browser's push service has taken it.

        Raises DeliveryRefused and RecipientGone; any other exception means that it must be sent again later.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


class Postman(Protocol):
    """Delivers letters.

    A letter that was taken is not lost. The same letter may be given again: a postman that can recognise it by
    its id delivers it once.
    """

    async def take(self, letter: Letter) -> None:
        """Takes a letter, and returns once it will be delivered.

        Raises DeliveryRefused and RecipientGone; any other exception means that it must be given again later.
        """
        ...

    async def drain(self) -> None:
        """Waits for letters that are on their way, but not for long."""
        ...

    async def close(self) -> None:
        """Gives back what the postman holds; no more letters are given to it."""
        ...
