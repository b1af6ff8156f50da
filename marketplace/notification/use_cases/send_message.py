"""Sending a message and counting what became of it: the same for mails, text messages and messages to browsers."""

from collections.abc import Awaitable, Callable

from marketplace.notification.ports import DeliveryRefused, RecipientGone
from souk.sdk import PoisonedEvent

OUTCOMES = SENT, POSTPONED, REFUSED, SUPPRESSED = "sent", "postponed", "refused", "suppressed"
"""What can become of a message."""


async def send_message(sending: Awaitable[None], count: Callable[[str], None]) -> RecipientGone | None:
    """Waits for a message to be sent, and counts its outcome; returns the reason if its recipient is gone.

    Raises PoisonedEvent for a message that is refused, as a retry would not help, and every other error as it is: the
    event is to be sent again.
    """
    try:
        await sending
    except DeliveryRefused as error:
        count(REFUSED)
        raise PoisonedEvent(str(error)) from error
    except RecipientGone as error:
        count(SUPPRESSED)
        return error
    except Exception:
        count(POSTPONED)
        raise
    count(SENT)
    return None
