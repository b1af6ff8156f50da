"""The templates of mails: what a buyer is told about each event, and which buyer that is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from google.protobuf.message import DecodeError, Message
from shop.order.v1 import order_pb2 as order
from shop.payment.v1 import payment_pb2 as payment

from marketplace.notification.domain import SHOP, Content, Line, Rendered, Script, render
from marketplace.notification.templates.amounts import amount, date
from marketplace.notification.templates.language import Language, language_of


class UnreadablePayloadError(ValueError):
    """The payload is not a message of the event's type, or names no user."""


@dataclass(frozen=True, slots=True)
class Template:
    """The type of an event's payload, and the function that makes the mail's content of it.

    A mail that is `essential`, because it is about the reader's money, is sent to those who unsubscribed as well. What
    is not, is also told in a text message, and shown by browsers.
    """

    kind: type[Message]
    content: Callable[[Any, Language], Content]
    essential: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that a mail is to be made of, and the user to send it to."""

    user_id: str
    event: Message
    template: Template

    def content(self, language: Language) -> Content:
        """Returns the content of the mail in a language."""
        return self.template.content(self.event, language)


def draft(event_type: str, payload: bytes) -> Draft | None:
    """Reads an event into the draft of a mail; None for a type without a template. Raises UnreadablePayloadError."""
    template = TEMPLATES.get(event_type)
    if template is None:
        return None
    try:
        message: Any = template.kind.FromString(payload)
    except DecodeError:
        raise UnreadablePayloadError(f"the payload is no {event_type}") from None
    if not message.user_id:
        raise UnreadablePayloadError(f"the {event_type} names no user")
    return Draft(message.user_id, message, template)


def write(found: Draft, locale: str, name: str) -> Rendered:
    """Writes the mail to a reader of this name, in the language of their locale; an empty name is not greeted."""
    language = language_of(locale)
    return render(found.content(language), Script(language.tag, language.rtl, language.greeting(name)))


def write_sms(found: Draft, locale: str) -> str:
    """Writes the text message about an event: what the subject of its mail says."""
    return f"{SHOP}: {found.content(language_of(locale)).subject}"


def write_push(found: Draft, locale: str, event_id: str) -> bytes:
    """Writes the message that browsers show about an event, as JSON.

    Its members are those of `showNotification` (Notifications API): `title`, and the options `body`, `lang`, `dir` and
    `tag`. A message shown in place of another with its tag is the same one, repeated.
    """
    language = language_of(locale)
    content = found.content(language)
    direction = "rtl" if language.rtl else "ltr"
    shown = {"title": content.subject, "body": content.opening, "lang": language.tag, "dir": direction, "tag": event_id}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def _about_order(event: Any, language: Language) -> Content:
    """Makes the content of a mail about an event that holds the order."""
    reason = language.reasons.get(event.reason, language.reasons[""]) if isinstance(event, order.OrderRejected) else ""
    return _content(event, event.order.id, _lines(event.order, language), language, reason)


def _about_refund(event: payment.PaymentRefunded, language: Language) -> Content:
    lines = (
        Line(language.texts["this_refund"], amount(event.amount, event.currency, language.locale)),
        Line(language.texts["refunded_so_far"], amount(event.refunded_total, event.currency, language.locale)),
    )
    return _content(event, event.order_id, lines, language)


def _content(event: Message, order_id: str, lines: tuple[Line, ...], language: Language, reason: str = "") -> Content:
    wording = language.mails[event.DESCRIPTOR.full_name]
    return Content(
        subject=wording.subject.format(order=order_id),
        opening=wording.opening.format(reason=reason),
        lines=lines,
        closing=wording.closing,
    )


def _lines(placed: order.Order, language: Language) -> tuple[Line, ...]:
    texts, locale, currency = language.texts, language.locale, placed.currency
    items = (
        Line(
            texts["item"].format(quantity=item.quantity, product=item.product_id),
            amount(item.quantity * item.price, currency, locale),
        )
        for item in placed.items
    )
    ordered_on = (
        [Line(texts["ordered_on"], date(placed.created_at.ToDatetime(UTC), locale))]
        if placed.HasField("created_at")
        else []
    )
    return (*items, Line(texts["total"], amount(placed.total, currency, locale)), *ordered_on)


_ALL = (
    Template(order.OrderConfirmed, _about_order),
    Template(order.OrderRejected, _about_order),
    Template(order.OrderCancelled, _about_order),
    Template(order.OrderShipped, _about_order, essential=False),
    Template(payment.PaymentRefunded, _about_refund),
)
TEMPLATES: Mapping[str, Template] = {template.kind.DESCRIPTOR.full_name: template for template in _ALL}
"""The templates by the event's type; the service subscribes to these types."""

SHORT_TYPES = tuple(name for name, template in TEMPLATES.items() if not template.essential)
"""The types of events that text messages and messages to browsers are sent about."""
