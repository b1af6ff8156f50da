"""Fills the templates: every text is escaped, times are relative with the exact one beside, numbers have separators."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from souk.console.assets import Assets
from souk.console.page import ConsolePage
from souk.gateway.settings import CONSOLE_PATH
from souk.kernel.clock import MICROSECONDS, from_datetime, to_datetime
from souk.kernel.currencies import DECIMALS, format_amount
from souk.runtime.service import Subject

_JOINTS = re.compile(r"(?<=[./_:=,])(?=\w)")
_SIZES = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Templates:
    """The templates of the console and of an app's own pages, by the packages whose `templates` they are in."""

    def __init__(
        self,
        title: str,
        assets: Assets,
        pages: Iterable[ConsolePage],
        packages: Sequence[str],
        subjects: Sequence[Subject] = (),
    ) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(package) for package in packages]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        groups: dict[str, list[ConsolePage]] = {}
        for page in pages:
            if page.label:
                groups.setdefault(page.group, []).append(page)
        self._environment.globals.update(system=title, asset=assets.url, groups=groups)
        self._environment.globals["subject_path"] = partial(subject_path, subjects)
        self._environment.filters.update(
            ago=ago,
            moment=moment,
            moment_of=moment_of,
            duration=duration,
            offset=offset,
            number=number,
            amount=amount,
            megabytes=megabytes,
            percent=percent,
            breakable=breakable,
        )

    def render(self, template: str, values: dict[str, Any]) -> bytes:
        """Fills a template. Raises jinja2's UndefinedError for a value that is missing."""
        return self._environment.get_template(template).render(values).encode()


def subject_path(subjects: Iterable[Subject], name: str) -> str:
    """Returns the path of the page of a subject; empty if the app has none for it."""
    found = (one.path for one in subjects if name.startswith(one.prefix))
    path = next(found, "")
    return f"{CONSOLE_PATH}/{path}/{quote(name, safe='')}" if path else ""


def moment_of(text: str) -> str:
    """Gives a time that a document has as text, by RFC 3339, as `moment` does."""
    return moment(from_datetime(datetime.fromisoformat(text)))


def duration(seconds: float) -> str:
    """Gives a time in short, for people: 12 s, 3 min, 2 h, 5 d."""
    for size, unit in _SIZES:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(at: int) -> str:
    """Gives a time in microseconds exactly, in UTC."""
    return to_datetime(at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def offset(microseconds: int) -> str:
    """Gives a time since a beginning, for people who compare such times: 120 ms, 16.72 s, 1:02:03.4."""
    if microseconds < MICROSECONDS:
        return f"{round(microseconds / 1_000, 1):g} ms"
    seconds = microseconds / MICROSECONDS
    if seconds < _SIZES[-1][0] * 2:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def breakable(name: str) -> Markup:
    """Gives a long name that a line may break after its dots, slashes and underscores, and not within its words."""
    return Markup("<wbr>").join(escape(one) for one in _JOINTS.split(name))


def ago(at: int, now: int) -> Markup:
    """Gives how long ago, or in how long, a time in microseconds is, with the exact time in its title."""
    seconds = (now - at) / MICROSECONDS
    text = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    iso = to_datetime(at).isoformat().replace("+00:00", "Z")
    return Markup(f'<time datetime="{escape(iso)}" title="{escape(moment(at))}">{escape(text)}</time>')


def number(value: float) -> str:
    """Gives a number with thin spaces between thousands; with one decimal if it has any."""
    text = f"{value:,.1f}" if isinstance(value, float) and not value.is_integer() else f"{value:,.0f}"
    return text.replace(",", "\u202f")


def amount(value: int, unit: str) -> str:
    """Gives an amount of a unit, without the unit: of money, which is counted in minor units, with its decimals."""
    if unit not in DECIMALS:
        return number(value)
    return format_amount(value, unit).removesuffix(f" {unit}").replace(",", "\u202f")


def megabytes(octets: int) -> str:
    """Gives a size in megabytes."""
    return f"{number(octets / 1e6 if octets < 1e7 else round(octets / 1e6))} MB"


def percent(part: float) -> str:
    """Gives a part of one in per cent."""
    return f"{part:.0%}"
