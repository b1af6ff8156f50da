"""Signing keys in SQL. Private keys are encrypted, so reading the database reveals none."""

from marketplace.user.domain.signing import Rotation, SigningKey
from marketplace.user.store.sealed_keys import SealedKeys
from souk.sdk import ConfigurationError, Row, Transaction

_ALL = "SELECT kid, private_jwk, signs_from FROM signing_keys"
_ADD = "INSERT INTO signing_keys (kid, private_jwk, signs_from) VALUES ($1, $2, $3)"
_SEAL = "UPDATE signing_keys SET private_jwk = $2 WHERE kid = $1"
_FORGET = "DELETE FROM signing_keys WHERE kid = $1"

OTHER_SECRET = (
    "the signing keys of service user are encrypted under another secret than this one: start with the SOUK_SECRET, "
    "or with the file `secret` of the data directory, that they were made with; if it is lost, empty the table "
    "signing_keys, and new ones are made"
)


class KeyStore:
    """Stores the signing keys that all replicas share, encrypted, in the caller's transaction."""

    def __init__(self, seal: SealedKeys) -> None:
        self._seal = seal

    async def lock(self, tx: Transaction) -> None:
        """Lets one replica at a time change the keys."""
        await tx.lock("signing keys")

    async def all(self, tx: Transaction) -> list[SigningKey]:
        """Returns every key, in no order."""
        return [self._key(row) for row in await tx.fetch(_ALL)]

    async def rotate(self, tx: Transaction, rotation: Rotation) -> None:
        """Adds and deletes the keys of a rotation."""
        for key in rotation.add:
            await tx.execute(_ADD, key.kid, self._seal.close(key.kid, key.private_jwk), key.signs_from)
        for key in rotation.forget:
            await tx.execute(_FORGET, key.kid)

    async def are_sealed(self, tx: Transaction) -> bool:
        """Tells whether every key is encrypted; raises ConfigurationError for an unreadable key."""
        rows = await tx.fetch(_ALL)
        for row in rows:
            self._key(row)
        return all(self._seal.is_sealed(row["private_jwk"]) for row in rows)

    async def seal_all(self, tx: Transaction) -> None:
        """Encrypts keys that an earlier version stored in clear."""
        await self.lock(tx)
        for row in await tx.fetch(_ALL):
            if not self._seal.is_sealed(row["private_jwk"]):
                await tx.execute(_SEAL, row["kid"], self._seal.close(row["kid"], row["private_jwk"]))

    def _key(self, row: Row) -> SigningKey:
        kid, text = row["kid"], row["private_jwk"]
        # In a fleet that is being replaced, a process of an earlier version may still store keys in clear.
        opened = self._seal.open(kid, text) if self._seal.is_sealed(text) else text
        if opened is None:
            raise ConfigurationError(OTHER_SECRET)
        return SigningKey(kid, opened, row["signs_from"])
