"""What Notification does of itself, and what it counts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from marketplace.notification.ports import Postman
from marketplace.notification.use_cases.mail_event import OUTCOMES
from souk.sdk import Collector, counter


class MailCounts:
    """Counts mails by what became of them."""

    def __init__(self) -> None:
        self._mails = counter(
            "souk_notification_mails",
            "Mails by outcome: sent, postponed (each time), refused, suppressed (no address, or no wish for it).",
            ("outcome",),
        )
        for outcome in OUTCOMES:
            self._mails.labels(outcome=outcome)

    def count(self, outcome: str) -> None:
        """Counts one."""
        self._mails.labels(outcome=outcome).inc()

    @property
    def collectors(self) -> Sequence[Collector]:
        """The collectors to register."""
        return (self._mails,)


def tasks(postman: Postman) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the background tasks by name."""
    return {"postman": partial(_hold, postman)}


async def _hold(postman: Postman) -> None:
    """Closes the postman when the process stops."""
    try:
        await asyncio.Event().wait()
    finally:
        await postman.close()
