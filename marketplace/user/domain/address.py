"""Addresses: where parcels go. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from marketplace.user.countries import COUNTRIES, WITHOUT_POSTAL_CODES

from souk.kernel.errors import DomainError, InvalidArgument, Violation

ADDRESS_NOT_FOUND = "ADDRESS_NOT_FOUND"
TOO_MANY_ADDRESSES = "TOO_MANY_ADDRESSES"
MOST_ADDRESSES = 50
"""Addresses that an account may have at once."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is written on a parcel. `country` is ISO 3166-1 alpha-2; `postal_code` is empty where there is none."""

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
    """The place itself, empty options left out.

    Raises InvalidArgument for a country that is none, and for a missing postal code where there are some.
    """
    if place.country not in COUNTRIES:
        raise InvalidArgument([Violation("country", "is not the code of a country (ISO 3166-1 alpha-2)")])
    place = replace(place, postal_code=place.postal_code or "")
    if not place.postal_code and place.country not in WITHOUT_POSTAL_CODES:
        raise InvalidArgument([Violation("postal_code", f"is required: addresses in {place.country} have one")])
    return replace(place, line2=place.line2 or None, region=place.region or None, phone=place.phone or None)


def changed(place: Place, given: Mapping[str, str]) -> Place:
    """The place with the fields that are given, checked."""
    return checked(replace(place, **given))


def too_many_addresses() -> DomainError:
    """The refusal for one more than an account may have."""
    return DomainError(TOO_MANY_ADDRESSES, f"an account has at most {MOST_ADDRESSES} addresses")


def unknown_address() -> DomainError:
    """The refusal for an address that does not exist, or is another's: nobody learns which."""
    return DomainError(ADDRESS_NOT_FOUND, "the address does not exist")
