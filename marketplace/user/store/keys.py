"""Signing keys in SQL. Private keys are encrypted, so reading the database reveals none."""

from collections.abc import Callable, Sequence

from marketplace.user.domain.signing import Rotation, SigningKey
from marketplace.user.store.sealed_keys import SealedKeys
from souk.sdk import ConfigurationError, Database, Row, Transaction

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
    """Stores the signing keys that all replicas share, encrypted."""

    def __init__(self, database: Database, seal: SealedKeys) -> None:
        self._database = database
        self._seal = seal

    async def all(self) -> list[SigningKey]:
        """Returns every key, in no order."""
        return await self._database.read(self._all)

    async def rotate(self, plan: Callable[[Sequence[SigningKey]], Rotation]) -> list[SigningKey]:
        """Applies the rotation that `plan` makes of the present keys, one replica at a time; returns all keys then."""

        async def work(tx: Transaction) -> list[SigningKey]:
            await tx.lock("signing keys")
            rotation = plan(await self._all(tx))
            for key in rotation.add:
                await tx.execute(_ADD, key.kid, self._seal.close(key.kid, key.private_jwk), key.signs_from)
            for key in rotation.forget:
                await tx.execute(_FORGET, key.kid)
            return await self._all(tx)

        return await self._database.run(work, guarded=True)

    async def seal_all(self) -> None:
        """Encrypts keys that an earlier version stored in clear; raises ConfigurationError for an unreadable key."""

        async def work(tx: Transaction) -> None:
            await tx.lock("signing keys")
            for row in await tx.fetch(_ALL):
                if not self._seal.is_sealed(row["private_jwk"]):
                    await tx.execute(_SEAL, row["kid"], self._seal.close(row["kid"], row["private_jwk"]))

        rows = await self._database.read(lambda tx: tx.fetch(_ALL))
        for row in rows:
            self._key(row)
        if not all(self._seal.is_sealed(row["private_jwk"]) for row in rows):
            await self._database.run(work, guarded=True)

    async def _all(self, tx: Transaction) -> list[SigningKey]:
        return [self._key(row) for row in await tx.fetch(_ALL)]

    def _key(self, row: Row) -> SigningKey:
        kid, text = row["kid"], row["private_jwk"]
        # In a fleet that is being replaced, a process of an earlier version may still store keys in clear.
        opened = self._seal.open(kid, text) if self._seal.is_sealed(text) else text
        if opened is None:
            raise ConfigurationError(OTHER_SECRET)
        return SigningKey(kid, opened, row["signs_from"])
