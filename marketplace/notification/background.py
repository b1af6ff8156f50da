"""What Notification does of itself, and what it counts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from marketplace.notification.ports import Postman, PushSender, SmsSender
from marketplace.notification.use_cases.send_message import OUTCOMES
from souk.sdk import counter


class OutcomeCounts:
    """Counts messages of one kind by what became of them."""

    def __init__(self, name: str, kind: str) -> None:
        outcomes = "sent, postponed (each time), refused, suppressed (no address, or no wish for it)"
        self.collector = counter(name, f"{kind} by outcome: {outcomes}.", ("outcome",))
        for outcome in OUTCOMES:
            self.collector.labels(outcome=outcome)

    def count(self, outcome: str) -> None:
        """Counts one."""
        self.collector.labels(outcome=outcome).inc()


def message_counts() -> tuple[OutcomeCounts, OutcomeCounts, OutcomeCounts]:
    """Makes the counts of mails, of text messages, and of messages to browsers."""
    return (
        OutcomeCounts("souk_notification_mails", "Mails"),
        OutcomeCounts("souk_notification_texts", "Text messages"),
        OutcomeCounts("souk_notification_pushes", "Messages to browsers"),
    )


def tasks(
    postman: Postman, sms: SmsSender | None, push: PushSender | None
) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Returns the background tasks by name."""
    senders = {"postman": postman, "sms": sms, "push": push}
    held = {name: sender.close for name, sender in senders.items() if sender is not None}
    return {name: partial(_hold, close) for name, close in held.items()}


async def _hold(close: Callable[[], Awaitable[None]]) -> None:
    """Closes what is held when the process stops."""
    try:
        await asyncio.Event().wait()
    finally:
        await close()
