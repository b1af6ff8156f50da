"""A policy: a rate, by what it is counted, and for which methods it holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_network
from math import ceil
from typing import NamedTuple

from souk.descriptors.contract import RateClass
from souk.gateway.limits.gcra import Rate

IPV6_PREFIX = 64
"""The bits of an IPv6 address that are one client: a provider gives each of its customers that many or fewer."""
_ADDRESSES = 4_096


class CountedBy(StrEnum):
    """What a policy counts by."""

    CALLER = "caller"
    """The caller whom the token names; the client's address for anybody else."""
    ADDRESS = "address"
    """The client's address; of IPv6 its network."""
    API_KEY = "api-key"
    """The API key of a machine; nothing for callers without one."""
    ACCOUNT = "account"
    """The account that the request names, in the field that the method's contract calls `rate_field`; nothing when
    the field is not given. Only a digest of it is kept. Anybody who knows the name can use up such a limit."""
    ACCOUNT_AND_ADDRESS = "account-and-address"
    """That account, for each client's address: nobody can use up the limit of somebody elsewhere."""


class WhenAway(StrEnum):
    """What a policy does when the store that gateways share does not answer."""

    OPEN = "open"
    """Every request goes on."""
    CLOSED = "closed"
    """No request goes on: 503."""
    LOCAL = "local"
    """Each gateway counts by itself: together they let more through, by as many times as there are gateways."""


class Client(NamedTuple):
    """Who sends a request, as far as it is known when the request is counted; what is unknown is empty."""

    subject: str = ""
    address: str = ""
    api_key: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """A rate limit. `name` is what headers, log and metrics call it: lower-case letters, digits and dashes."""

    name: str
    rate: Rate
    by: CountedBy
    classes: frozenset[RateClass]
    when_away: WhenAway = WhenAway.LOCAL
    ipv6_prefix: int = IPV6_PREFIX
    quoted: bytes = field(init=False, repr=False, compare=False)
    item: bytes = field(init=False, repr=False, compare=False)
    """What the header `RateLimit-Policy` says of it: its quota, and its window in whole seconds."""
    key_of: Callable[["LimitPolicy", Client], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once, because every request needs them.
        object.__setattr__(self, "quoted", b'"%s"' % self.name.encode())
        object.__setattr__(self, "item", b"%s;q=%d;w=%d" % (self.quoted, self.rate.count, ceil(self.rate.window)))
        object.__setattr__(self, "key_of", _KEYS[self.by])

    def key(self, client: Client) -> str:
        """Returns the key to count a request by; empty if the policy does not hold for this client."""
        return self.key_of(self, client)

    def described(self) -> dict[str, object]:
        """Returns what the OpenAPI document says of it."""
        return {
            "policy": self.name,
            "by": str(self.by),
            "quota": self.rate.count,
            "window": self.rate.window,
            "burst": self.rate.burst,
        }

    def __str__(self) -> str:
        return f"{self.rate.count}/{self.rate.window:g}s by {self.by}"


def _by_caller(policy: LimitPolicy, client: Client) -> str:
    return "u:" + client.subject if client.subject else _by_address(policy, client)


def _by_address(policy: LimitPolicy, client: Client) -> str:
    address = client.address
    # A client whose address is unknown counts as one: it must not be a way around the limit.
    return "a:" + (network_of(address, policy.ipv6_prefix) if ":" in address else address)


def _by_account(policy: LimitPolicy, client: Client) -> str:
    if not client.account:
        return ""
    named = client.account.strip().casefold().encode(errors="replace")
    return "n:" + blake2b(named, digest_size=16).hexdigest()


def _by_account_and_address(policy: LimitPolicy, client: Client) -> str:
    account = _by_account(policy, client)
    return account and f"{account} {_by_address(policy, client)}"


def _by_api_key(policy: LimitPolicy, client: Client) -> str:
    return "k:" + client.api_key if client.api_key else ""


OF_ACCOUNTS = frozenset({CountedBy.ACCOUNT, CountedBy.ACCOUNT_AND_ADDRESS})
"""What can be counted only when the body of a request has been read."""

_KEYS: Mapping[CountedBy, Callable[[LimitPolicy, Client], str]] = {
    CountedBy.CALLER: _by_caller,
    CountedBy.ADDRESS: _by_address,
    CountedBy.ACCOUNT: _by_account,
    CountedBy.ACCOUNT_AND_ADDRESS: _by_account_and_address,
    CountedBy.API_KEY: _by_api_key,
}


@lru_cache(_ADDRESSES)
def network_of(address: str, prefix: int) -> str:
    """Returns the network of an IPv6 address; an IPv4 address inside of one stands for itself."""
    try:
        known = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ip_network((known, prefix), strict=False))
