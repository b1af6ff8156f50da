"""Addresses: where parcels go. No I/O."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

from marketplace.user.countries import COUNTRIES
from marketplace.user.text import is_line
from souk.kernel.errors import DomainError, InvalidArgument, Violation

ADDRESS_NOT_FOUND = "ADDRESS_NOT_FOUND"

_REQUIRED = {"name": 100, "line1": 200, "city": 100, "postal_code": 20}
_OPTIONAL = {"line2": 200, "region": 100}
_PHONE = re.compile(r"\+?[0-9][0-9 ()./-]{2,28}")


@dataclass(frozen=True, slots=True)
class Place:
    """What is written on a parcel. `country` is ISO 3166-1 alpha-2."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    line2: str | None = None
    region: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A place that a user saved. `created_at` is in microseconds since 1970."""

    id: str
    user_id: str
    place: Place
    created_at: int


FIELDS = tuple(field.name for field in fields(Place))
Change = Callable[[Place], Place]


def checked(place: Place) -> Place:
    """The place itself, empty options left out; raises InvalidArgument with all that is wrong with it."""
    place = replace(place, line2=place.line2 or None, region=place.region or None, phone=place.phone or None)
    violations = list(_violations(place))
    if violations:
        raise InvalidArgument(violations)
    return place


def changed(place: Place, given: Mapping[str, str]) -> Place:
    """The place with the fields that are given, checked."""
    return checked(replace(place, **given))


def unknown_address() -> DomainError:
    """The refusal for an address that does not exist, or is another's: nobody learns which."""
    return DomainError(ADDRESS_NOT_FOUND, "there is no such address")


def _violations(place: Place) -> Iterator[Violation]:
    for field, longest in {**_REQUIRED, **_OPTIONAL}.items():
        value = getattr(place, field)
        if (value is not None or field in _REQUIRED) and not is_line(value, longest):
            yield Violation(field, f"must be one line of 1 to {longest} characters")
    if place.country not in COUNTRIES:
        yield Violation("country", "must be two capital letters (ISO 3166-1 alpha-2)")
    if place.phone is not None and not _PHONE.fullmatch(place.phone):
        yield Violation("phone", "must be 3 to 30 digits, spaces and ()./-, with an optional plus first")
