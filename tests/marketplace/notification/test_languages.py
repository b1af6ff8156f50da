"""Mails in the reader's language, with amounts and dates as they are written there."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel import Locale
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from shop.order.v1 import order_pb2 as order
from shop.user.v1 import user_pb2 as user

from marketplace.notification.templates import TEMPLATES
from marketplace.notification.templates.amounts import amount, date
from marketplace.notification.templates.language import LANGUAGES, language_of
from marketplace.notification.use_cases.render_message import RenderMessage, render_message
from souk.kernel.currencies import DECIMALS
from souk.runtime.service import ServiceParts
from tests.marketplace.notification.test_mails import event_of, forms, mailbox, payloads

FOLDER = files("marketplace.notification.templates") / "texts"
NBSP, NARROW, MARK = "\u00a0", "\u202f", "\u200f"


def texts(language: str) -> dict[str, str]:
    """Every text of a language, by its path."""
    found: dict[str, str] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, str):
            found[path] = value
        else:
            for key, inner in value.items():
                walk(f"{path}/{key}", inner)

    walk("", json.loads((FOLDER / f"{language}.json").read_text("utf-8")))
    return found


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_language_has_a_file_and_every_file_is_a_language() -> None:
    assert {Path(str(one)).stem for one in FOLDER.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_there_in_every_language_with_the_same_placeholders(language: str) -> None:
    english, here = texts("en"), texts(language)
    assert here.keys() == english.keys()
    assert {path: placeholders(text) for path, text in here.items()} == {
        path: placeholders(text) for path, text in english.items()
    }
    assert all(text.strip() == text != "" for text in here.values())
    assert language_of(language).mails.keys() == TEMPLATES.keys()


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_no_text_was_left_in_english(language: str) -> None:
    english, here = texts("en"), texts(language)
    same = {path for path in here if here[path] == english[path]}
    assert same <= {"/direction", "/item", "/total"}


def rendered(payload: Message, locale: str) -> Any:
    return render_message(RenderMessage(payload.DESCRIPTOR.full_name, payload.SerializeToString(), "Mina", locale))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mail_can_be_written_in_every_language(language: str, placed: order.Order) -> None:
    placed.created_at.CopyFrom(Timestamp(seconds=1_800_000_000))
    for payload in payloads(placed):
        mail = rendered(payload, language)
        assert "ORD-1" in mail.subject
        assert "{" not in mail.subject + mail.text
        assert f'lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in mail.html


def test_a_mail_in_french(placed: order.Order) -> None:
    placed.created_at.CopyFrom(Timestamp(seconds=1_800_000_000))
    mail = rendered(order.OrderConfirmed(user_id="U-1", order=placed), "fr-CA")
    assert mail.subject == "Votre commande ORD-1 est confirmée"
    assert mail.text.startswith("Bonjour Mina,\n\nMerci pour votre commande.")
    assert f"  2 x P-101    24,00{NBSP}€\n" in mail.text
    assert "  Commandé le  15 janvier 2027\n" in mail.text


def test_a_mail_in_arabic_runs_from_the_right(placed: order.Order) -> None:
    mail = rendered(order.OrderRejected(user_id="U-1", order=placed, reason="OUT_OF_STOCK"), "ar")
    assert f"{MARK}  2 x P-101  {MARK}24.00{NBSP}€\n" in mail.text
    assert "بعض المنتجات غير متوفرة" in mail.text
    assert '<html lang="ar" dir="rtl">' in mail.html
    assert "<bdi>2 x P-101</bdi>" in mail.html
    assert "text-align: left" in mail.html


@pytest.mark.parametrize("locale", ["", "de", "x", "en-XX", "zz-ZZ", "frx"])
def test_other_readers_get_english(locale: str, placed: order.Order) -> None:
    mail = rendered(order.OrderShipped(user_id="U-1", order=placed), locale)
    assert mail == rendered(order.OrderShipped(user_id="U-1", order=placed), "en")


@pytest.mark.parametrize(
    ("minor", "currency", "locale", "shown"),
    [
        (123_450, "EUR", "en", "€1,234.50"),
        (123_450, "EUR", "fr", f"1{NARROW}234,50{NBSP}€"),
        (123_450, "EUR", "ar", f"{MARK}1,234.50{NBSP}€"),
        (1_234, "JPY", "en", "¥1,234"),
        (5, "KWD", "en", f"KWD{NBSP}0.005"),
        (100, "RSD", "fr", f"1,00{NBSP}RSD"),  # no fraction is usual there, and none may be lost
        (-5, "USD", "en", "-$0.05"),
        (9_007_199_254_740_993_400, "EUR", "en", "€90,071,992,547,409,934.00"),
        (100, "", "fr", "1.00 "),
        (100, "XYZ", "en", f"XYZ{NBSP}1.00"),
    ],
)
def test_amounts(minor: int, currency: str, locale: str, shown: str) -> None:
    assert amount(minor, currency, Locale.parse(locale)) == shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_currency_loses_a_part(language: str) -> None:
    for currency, decimals in DECIMALS.items():
        shown = amount(10**decimals + 1, currency, Locale.parse(language))
        assert f"1{'.' if language != 'fr' else ','}{'1'.zfill(decimals)}" in shown or (decimals == 0 and "2" in shown)


def test_dates() -> None:
    moment = datetime(2027, 1, 15, 23, 59, tzinfo=UTC)
    assert [date(moment, Locale.parse(language)) for language in LANGUAGES] == [
        "January 15, 2027",
        "15 janvier 2027",
        "15 يناير 2027",
    ]


async def test_the_reader_decides_the_language(
    parts: ServiceParts, tmp_path: Path, users: Any, placed: order.Order
) -> None:
    users.contacts["U-1"] = user.Contact(email="omar@example.com", name="عمر", locale="ar-EG")
    await parts.consumers["mails"](event_of(order.OrderShipped(user_id="U-1", order=placed)))
    ((_, mail),) = mailbox(tmp_path).items()
    assert mail["Subject"] == "طلبك ORD-1 في الطريق إليك"
    text, html = forms(mail)
    assert text.startswith("مرحبًا عمر،")
    assert 'dir="rtl"' in html
