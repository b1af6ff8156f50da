"""The texts of mails, by language: one JSON file each in `texts`, with the same keys and the same placeholders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from babel import Locale

from marketplace.notification.templates.amounts import KEPT, locale_of

LANGUAGES = ("en", "fr", "ar")
"""The languages that mails are written in; the first is used for readers of all others."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of the mail about one type of event; {order} and {reason} stand for what the event says."""

    subject: str
    opening: str
    closing: str


@dataclass(frozen=True, slots=True)
class Language:
    """A language with its texts. `locale` says how amounts and dates are written."""

    tag: str
    rtl: bool
    locale: Locale
    texts: Mapping[str, str]
    reasons: Mapping[str, str]
    mails: Mapping[str, Wording]

    def greeting(self, name: str) -> str:
        """Returns the greeting of a reader; without a name if that is empty."""
        return self.texts["greeting"].format(name=name) if name else self.texts["greeting_without_name"]


@lru_cache(KEPT)
def language_of(tag: str) -> Language:
    """Returns the language of a reader's locale, such as "fr-CA"; English for one without texts."""
    wanted = tag.partition("-")[0].lower()
    language = wanted if wanted in LANGUAGES else LANGUAGES[0]
    locale = locale_of(tag if wanted == language else language, language)
    found: dict[str, Any] = json.loads((files(__package__) / "texts" / f"{language}.json").read_text("utf-8"))
    return Language(
        tag=language,
        rtl=found.pop("direction") == "rtl",
        locale=locale,
        reasons=found.pop("reasons"),
        mails={event: Wording(**texts) for event, texts in found.pop("mails").items()},
        texts=found,
    )
