"""Amounts and dates as a locale writes them (Unicode CLDR, by Babel). No I/O but Babel's own data."""

import datetime
import re
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import NumberPattern, get_currency_symbol, parse_pattern

from souk.sdk import decimals_of, format_amount

KEPT = 256
"""How many locales are kept; readers name them, so there may be any number."""
_CODE = re.compile(r"[A-Z]{3}")


@lru_cache(KEPT)
def locale_of(tag: str, language: str) -> Locale:
    """Returns the locale of a language tag such as "fr-CA", or of its language if the region is unknown."""
    try:
        return Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(language)


@lru_cache(1_024)
def amount(minor: int, currency: str, locale: Locale) -> str:
    """Formats an amount in minor units, such as "24,00 €" for 2400 EUR in French.

    The number of decimals is the currency's own (ISO 4217), whatever is usual in the locale: no part of an amount is
    rounded away. Digits are those of Latin script, as in the rest of a mail.
    """
    if not _CODE.fullmatch(currency):
        return format_amount(minor, currency)
    decimals = decimals_of(currency)
    text = _pattern(locale, decimals).apply(
        Decimal(minor).scaleb(-decimals), locale, currency=currency, currency_digits=False
    )
    return _spaced(text, get_currency_symbol(currency, locale))


def date(moment: datetime.datetime, locale: Locale) -> str:
    """Formats the day of a moment, such as "15 janvier 2027"."""
    return _day(moment.date(), locale)


@lru_cache(KEPT)
def _day(day: datetime.date, locale: Locale) -> str:
    return format_date(day, "long", locale=locale)


@lru_cache(KEPT)
def _pattern(locale: Locale, decimals: int) -> NumberPattern:
    usual: str = locale.currency_formats["standard"].pattern
    return parse_pattern(usual.replace("0.00", f"0.{'0' * decimals}" if decimals else "0"))


def _spaced(text: str, symbol: str) -> str:
    """Puts a space between letters of a currency and a digit (CLDR, currencySpacing), which Babel leaves out."""
    if not symbol[-1:].isalpha():
        return text
    return re.sub(rf"({re.escape(symbol)})(?=\d)", "\\1\u00a0", text)
