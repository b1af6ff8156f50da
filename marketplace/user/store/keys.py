"""Signing keys in SQL."""

from collections.abc import Callable, Sequence

from marketplace.user.ports import Rotation
from marketplace.user.signing import SigningKey
from souk.store.database import Database, Transaction

_ALL = "SELECT kid, private_jwk, signs_from FROM signing_keys"
_ADD = "INSERT INTO signing_keys (kid, private_jwk, signs_from) VALUES ($1, $2, $3)"
_FORGET = "DELETE FROM signing_keys WHERE kid = $1"


class KeyStore:
    """The port Keys, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[SigningKey]:
        return await self._database.read(_all)

    async def rotate(self, plan: Callable[[Sequence[SigningKey]], Rotation]) -> list[SigningKey]:
        async def work(tx: Transaction) -> list[SigningKey]:
            await tx.lock("signing keys")
            rotation = plan(await _all(tx))
            for key in rotation.add:
                await tx.execute(_ADD, key.kid, key.private_jwk, key.signs_from)
            for key in rotation.forget:
                await tx.execute(_FORGET, key.kid)
            return await _all(tx)

        return await self._database.run(work, guarded=True)


async def _all(tx: Transaction) -> list[SigningKey]:
    rows = await tx.fetch(_ALL)
    return [SigningKey(row["kid"], row["private_jwk"], row["signs_from"]) for row in rows]
