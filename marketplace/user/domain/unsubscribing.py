"""The tokens of links in mails by which a reader unsubscribes (RFC 8058). No I/O."""

import hmac
from base64 import urlsafe_b64encode

_MAC_BYTES = 16


class UnsubscribeTokens:
    """Makes and reads tokens, which hold for as long as the account exists: a link must work in an old mail, too.

    A token is the user's id and a digest of it under the service's secret. It allows one thing alone.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def token(self, user_id: str) -> str:
        """Returns the token of a user."""
        digest = hmac.digest(self._secret, f"unsubscribe\0{user_id}".encode(), "sha256")[:_MAC_BYTES]
        return f"{user_id}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    def user_id(self, token: str) -> str | None:
        """Returns the id of the user that a token belongs to; None for a token that was not made here."""
        user_id = token.rpartition(".")[0]
        right = self.token(user_id)
        return user_id if user_id and hmac.compare_digest(token.encode(), right.encode()) else None
