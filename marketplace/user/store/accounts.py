"""Accounts and credentials in SQL."""

from shop.user.v1.user_pb2 import UserDeleted

from marketplace.user.domain.account import (
    Account,
    Change,
    Credentials,
    Proof,
    bad_credentials,
    email_key,
    email_taken,
    ended_session,
    unknown_user,
)
from souk.sdk import Database, Outbox, Row, Transaction

_COLUMNS = "id, email, name, roles, created_at"
_ADD = """
    INSERT INTO users (id, email, email_key, name, roles, password_hash, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"""
_CHANGE = "UPDATE users SET email = $2, email_key = $3, name = $4, roles = $5 WHERE id = $1"
_TAKEN = "SELECT id FROM users WHERE email_key = $1 AND id <> $2"
_SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE id = $1"
_END_SESSIONS = "DELETE FROM refresh_families WHERE user_id = $1"
_IS_OPEN = "SELECT id FROM refresh_families WHERE id = $1 AND user_id = $2"
_PERSONAL = ("addresses", "refresh_families", "login_failures", "known_addresses")
"""Tables whose rows are deleted with their user."""


class AccountStore:
    """Stores accounts and their credentials. Each change is one transaction; emails stay unique under races.

    A method that takes a `proof` checks it against the account in the same transaction. It raises
    BAD_CREDENTIALS when the password has changed since, and Unauthenticated when the login has ended, as it
    does when the password changes.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def add(self, account: Account, password_hash: str) -> bool:
        """Adds an account; returns False and changes nothing when its email or id is taken."""
        key, roles = email_key(account.email), " ".join(account.roles)
        values = (account.id, account.email, key, account.name, roles, password_hash, account.created_at)

        async def work(tx: Transaction) -> bool:
            await _lock_email(tx, key)
            return await tx.execute(_ADD, *values) == 1

        return await self._database.run(work, guarded=True)

    async def find(self, user_id: str) -> Account | None:
        """Returns the account of an id, if there is one."""
        sql = f"SELECT {_COLUMNS} FROM users WHERE id = $1"
        row = await self._database.read(lambda tx: tx.fetch_one(sql, user_id), single=True)
        return _account(row) if row else None

    async def credentials(self, email: str) -> Credentials | None:
        """Returns the account of an email, compared without case, and the hash of its password."""
        return await self._credentials("email_key", email_key(email))

    async def credentials_of(self, user_id: str) -> Credentials | None:
        """Returns the account of an id and the hash of its password."""
        return await self._credentials("id", user_id)

    async def change(self, user_id: str, change: Change, proof: Proof | None = None) -> Account | None:
        """Replaces an account by the result of `change`; returns None when there is no such account.

        With a proof it ends every other login of the account. Raises EMAIL_TAKEN when another account has the new
        email. `change` may be called again.
        """

        async def work(tx: Transaction) -> Account | None:
            if proof is not None and await _holds(tx, proof):
                await tx.execute(f"{_END_SESSIONS} AND id <> $2", user_id, proof.session)
            row = await tx.fetch_one(
                f"SELECT {_COLUMNS} FROM users WHERE id = $1 {tx.dialect.for_update}",
                user_id,
            )
            if row is None:
                return None
            new = change(_account(row))
            key = email_key(new.email)
            await _lock_email(tx, key)
            if await tx.fetch_one(_TAKEN, key, user_id):
                raise email_taken()
            await tx.execute(_CHANGE, user_id, new.email, key, new.name, " ".join(new.roles))
            return new

        return await self._database.run(work, guarded=True)

    async def change_password(self, proof: Proof, new_hash: str) -> None:
        """Sets the hash and ends every login; raises USER_NOT_FOUND as well."""

        async def work(tx: Transaction) -> None:
            if not await _holds(tx, proof):
                raise unknown_user()
            await tx.execute(_SET_PASSWORD, proof.user_id, new_hash)
            await tx.execute(_END_SESSIONS, proof.user_id)

        await self._database.run(work)

    async def erase(self, proof: Proof) -> None:
        """Erases account, addresses, credentials and logins, and publishes UserDeleted; does nothing if it is gone."""

        async def work(tx: Transaction) -> None:
            if not await _holds(tx, proof):
                return
            # The user first: a transaction that adds something of the user locks that row.
            await tx.execute("DELETE FROM users WHERE id = $1", proof.user_id)
            for table in _PERSONAL:
                await tx.execute(f"DELETE FROM {table} WHERE user_id = $1", proof.user_id)
            await self._outbox.publish(tx, proof.user_id, UserDeleted(user_id=proof.user_id))

        await self._database.run(work)

    async def _credentials(self, column: str, value: str) -> Credentials | None:
        sql = f"SELECT {_COLUMNS}, password_hash FROM users WHERE {column} = $1"
        row = await self._database.read(lambda tx: tx.fetch_one(sql, value))
        return Credentials(_account(row), row["password_hash"]) if row else None


async def _holds(tx: Transaction, proof: Proof) -> bool:
    """Tells whether the account exists, and locks its row; raises when the proof no longer holds."""
    sql = f"SELECT password_hash FROM users WHERE id = $1 {tx.dialect.for_update}"
    row = await tx.fetch_one(sql, proof.user_id)
    if row is None:
        return False
    if row["password_hash"] != proof.password_hash:
        raise bad_credentials("the current password is wrong")
    if await tx.fetch_one(_IS_OPEN, proof.session, proof.user_id) is None:
        raise ended_session()
    return True


async def _lock_email(tx: Transaction, key: str) -> None:
    """Serialises transactions that want the same email, so that the second sees the first and is refused."""
    await tx.lock(f"email:{key}")


def _account(row: Row) -> Account:
    return Account(row["id"], row["email"], row["name"], tuple(row["roles"].split()), row["created_at"])
