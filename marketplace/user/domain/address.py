"""Postal addresses of users, and their rules. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from souk.sdk import DomainError, InvalidArgument, Violation

ADDRESS_NOT_FOUND = "ADDRESS_NOT_FOUND"
TOO_MANY_ADDRESSES = "TOO_MANY_ADDRESSES"
MOST_ADDRESSES = 50
"""The most addresses that an account may have at once."""

# The officially assigned country codes of ISO 3166-1 alpha-2.
_CODES = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_CODES.split())

_WITHOUT_POSTAL_CODES = """
    AE AG AO AW BF BI BJ BO BS BV BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GA GD GH GM GQ GY HK JM KI KM KN KP LY ML MO
    MR MW NR NU PA QA RW SB SC SL SO SR SS ST SX SY TD TF TG TK TL TO TV UG VU YE ZW
"""
WITHOUT_POSTAL_CODES = frozenset(_WITHOUT_POSTAL_CODES.split())
"""Countries where addresses have no postal code, or hardly any has one (Universal Postal Union, addressing systems)."""


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """The address on a parcel. `country` is ISO 3166-1 alpha-2; `postal_code` is empty where there is none."""

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
    """A postal address that a user saved. `created_at` is in microseconds since 1970."""

    id: str
    user_id: str
    postal: PostalAddress
    created_at: int


FIELDS = tuple(field.name for field in fields(PostalAddress))


def checked(postal: PostalAddress) -> PostalAddress:
    """Checks an address and returns it with None for optional fields that are empty.

    Raises InvalidArgument for an unknown country, and for a missing postal code where the country has them.
    """
    if postal.country not in COUNTRIES:
        raise InvalidArgument([Violation("country", "is not the code of a country (ISO 3166-1 alpha-2)")])
    postal = replace(postal, postal_code=postal.postal_code or "")
    if not postal.postal_code and postal.country not in WITHOUT_POSTAL_CODES:
        raise InvalidArgument([Violation("postal_code", f"is required: addresses in {postal.country} have one")])
    return replace(postal, line2=postal.line2 or None, region=postal.region or None, phone=postal.phone or None)


def changed(postal: PostalAddress, given: Mapping[str, str]) -> PostalAddress:
    """Returns the address with the given fields replaced, checked by `checked`."""
    return checked(replace(postal, **given))


def too_many_addresses() -> DomainError:
    """Makes the refusal for an address more than an account may have."""
    return DomainError(TOO_MANY_ADDRESSES, f"an account has at most {MOST_ADDRESSES} addresses")


def unknown_address() -> DomainError:
    """Makes the refusal for an address that does not exist or belongs to another user; it does not say which."""
    return DomainError(ADDRESS_NOT_FOUND, "the address does not exist")
