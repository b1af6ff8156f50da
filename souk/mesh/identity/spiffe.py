"""SPIFFE ids: who a workload is, as its certificate says it (SPIFFE-ID, sections 2.1 and 2.2).

spiffe://souk.local/service/payment   a service; the certificates of all its instances have this id
payment-1.souk.local                  one instance, as a DNS name in its certificate
"""

import re
from dataclasses import dataclass

from souk.kernel.errors import ConfigurationError

TRUST_DOMAIN = "souk.local"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
_LONGEST_DOMAIN = 180
"""Characters of a trust domain, so that an instance's name before it still is a DNS name."""


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """One process of a service, such as `payment-1` of `payment`. Raises ConfigurationError for other characters."""

    service: str
    instance: str

    def __post_init__(self) -> None:
        checked_name(self.service)
        checked_name(self.instance)


def checked_name(name: str) -> str:
    """Returns the name of a service or an instance. Raises ConfigurationError if certificates cannot carry it."""
    if not _LABEL.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be in a certificate: use at most 63 of a-z, 0-9, - and _, with a-z or 0-9 at both ends"
        )
    return name


def checked_trust_domain(name: str) -> str:
    """Returns a trust domain. Raises ConfigurationError for one that is not a DNS name in lower case."""
    if len(name) > _LONGEST_DOMAIN or not all(map(_LABEL.fullmatch, name.split("."))):
        raise ConfigurationError(
            f"{name!r} is not a trust domain: use a DNS name in lower case, such as {TRUST_DOMAIN}"
        )
    return name


def trust_domain_id(trust_domain: str) -> str:
    """Gives the SPIFFE id of the trust domain itself, which signing certificates have."""
    return f"spiffe://{trust_domain}"


def service_id(trust_domain: str, service: str) -> str:
    """Gives the SPIFFE id of a service."""
    return f"spiffe://{trust_domain}/service/{service}"


def instance_name(trust_domain: str, instance: str) -> str:
    """Gives the DNS name of an instance, by which one instance can be refused while its service is not."""
    return f"{instance}.{trust_domain}"
