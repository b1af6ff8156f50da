"""The limits of wrong passwords in any 5 minutes. Pure; times are microseconds.

| failures | limit | refused until the oldest of them is 5 minutes old |
|---|---|---|
| for one account from one address | 10 | that account from that address |
| for one account from anywhere | 100 | that account, but not where its owner has logged in before |
| from one address, whatever the account | 200 | that address, but not for accounts that have logged in there before |

So a stranger who guesses passwords locks out only their own address, not the owner. An account is counted by
its id, so that a new email changes nothing; an email without an account is counted like an account. One address
is told at most 30 times that an email is taken, because that answer reveals who is registered. Each failure
takes one slow hash, of which two run at once, so there are never more than some ten thousand in 5 minutes.
"""

import hmac
import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from souk.sdk import MICROSECONDS

WINDOW = 300 * MICROSECONDS
_ONE_SITE = 64
"""Bits of the IPv6 prefix that one customer of a provider has at least: all its addresses count as one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most failures in a window: of an account from one address, of an account, of an address. None: no limit."""

    together: int
    account: int | None = None
    address: int | None = None


PASSWORDS = Limits(together=10, account=100, address=200)
EMAILS = Limits(together=30)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that is counted: digests of account and address; `user_id` is empty when there is no such account."""

    account: str
    address: str
    user_id: str
    limits: Limits


class Counted:
    """Makes attempts. Of emails and client addresses only digests under `secret` are kept."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def password(self, user_id: str, email_key: str, address: str) -> Attempt:
        """Makes the attempt to give a password; without an account `user_id` is empty, and the email is counted."""
        account = self._digest("account", user_id) if user_id else self._digest("email", email_key)
        return Attempt(account, self.address(address), user_id, PASSWORDS)

    def email(self, address: str) -> Attempt:
        """Makes the attempt to take an email, counted by the client's address alone."""
        return Attempt(self._digest("asked for", "email"), self.address(address), "", EMAILS)

    def address(self, address: str) -> str:
        """Returns the digest of a client's address; an IPv6 address counts as its /64 network."""
        return self._digest("address", _site(address))

    def _digest(self, kind: str, text: str) -> str:
        return hmac.digest(self._secret, f"{kind}\0{text}".encode(), "sha256").hex()


def seconds_to_wait(last: int | None, now: int) -> float | None:
    """Returns None when one more may fail, else the whole seconds until then.

    `last` is the time of the oldest failure that counts towards the full limit.
    """
    if last is None or last <= now - WINDOW:
        return None
    return float(math.ceil((last + WINDOW - now) / MICROSECONDS))


def _site(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _ONE_SITE), strict=False))
    return str(found)
