"""Accounts and credentials in SQL."""

from shop.user.v1.user_pb2 import UserDeleted

from marketplace.user.domain.account import (
    Account,
    Credentials,
    Proof,
    bad_credentials,
    email_key,
    email_taken,
    ended_session,
    unknown_user,
)
from souk.sdk import Outbox, Row, Transaction

_COLUMNS = "id, email, name, roles, created_at, locale, unsubscribed, phone"
_ONE = f"SELECT {_COLUMNS} FROM users WHERE id = $1"
_ADD = """
    INSERT INTO users (id, email, email_key, name, roles, password_hash, created_at, locale)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"""
_CHANGE = """
    UPDATE users SET email = $2, email_key = $3, name = $4, roles = $5, locale = $6, unsubscribed = $7, phone = $8
    WHERE id = $1"""
_TAKEN = "SELECT id FROM users WHERE email_key = $1 AND id <> $2"
_SET_PASSWORD = "UPDATE users SET password_hash = $2 WHERE id = $1"
_END_SESSIONS = "DELETE FROM refresh_families WHERE user_id = $1"
_IS_OPEN = "SELECT id FROM refresh_families WHERE id = $1 AND user_id = $2"
_PERSONAL = ("addresses", "refresh_families", "login_failures", "known_addresses", "push_subscriptions", "api_keys")
"""Tables whose rows are deleted with their user."""


class AccountStore:
    """Stores accounts and their credentials, in the caller's transaction; emails stay unique under races.

    A method that takes a `proof` checks it against the account. It raises BAD_CREDENTIALS when the password has
    changed since, and Unauthenticated when the login has ended, as it does when the password changes.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def add(self, tx: Transaction, account: Account, password_hash: str) -> bool:
        """Adds an account; returns False and changes nothing when its email or id is taken."""
        key, roles = email_key(account.email), " ".join(account.roles)
        await _lock_email(tx, key)
        named = (account.id, account.email, key, account.name, roles)
        return await tx.execute(_ADD, *named, password_hash, account.created_at, account.locale) == 1

    async def find(self, tx: Transaction, user_id: str) -> Account | None:
        """Returns the account of an id, if there is one."""
        row = await tx.fetch_one(_ONE, user_id)
        return _account(row) if row else None

    async def credentials(self, tx: Transaction, email: str) -> Credentials | None:
        """Returns the account of an email, compared without case, and the hash of its password."""
        return await _credentials(tx, "email_key", email_key(email))

    async def credentials_of(self, tx: Transaction, user_id: str) -> Credentials | None:
        """Returns the account of an id and the hash of its password."""
        return await _credentials(tx, "id", user_id)

    async def lock(self, tx: Transaction, user_id: str) -> Account | None:
        """Locks the account of an id and returns it, if there is one."""
        row = await tx.fetch_one(f"{_ONE} {tx.dialect.for_update}", user_id)
        return _account(row) if row else None

    async def update(self, tx: Transaction, account: Account) -> None:
        """Stores an account that was locked. Raises EMAIL_TAKEN when another account has its email."""
        key = email_key(account.email)
        await _lock_email(tx, key)
        if await tx.fetch_one(_TAKEN, key, account.id):
            raise email_taken()
        named = (account.id, account.email, key, account.name, " ".join(account.roles))
        await tx.execute(_CHANGE, *named, account.locale, account.unsubscribed, account.phone)

    async def end_other_logins(self, tx: Transaction, proof: Proof) -> None:
        """Ends every login of the account but the one of the proof."""
        if await _holds(tx, proof):
            await tx.execute(f"{_END_SESSIONS} AND id <> $2", proof.user_id, proof.session)

    async def change_password(self, tx: Transaction, proof: Proof, new_hash: str) -> None:
        """Sets the hash and ends every login; raises USER_NOT_FOUND as well."""
        if not await _holds(tx, proof):
            raise unknown_user()
        await tx.execute(_SET_PASSWORD, proof.user_id, new_hash)
        await tx.execute(_END_SESSIONS, proof.user_id)

    async def require(self, tx: Transaction, proof: Proof) -> None:
        """Locks the account of a proof that still holds; raises USER_NOT_FOUND as well."""
        if not await _holds(tx, proof):
            raise unknown_user()

    async def erase(self, tx: Transaction, proof: Proof) -> None:
        """Erases account, addresses, credentials and logins, and publishes UserDeleted; does nothing if it is gone."""
        if not await _holds(tx, proof):
            return
        # The user first: a transaction that adds something of the user locks that row.
        await tx.execute("DELETE FROM users WHERE id = $1", proof.user_id)
        for table in _PERSONAL:
            await tx.execute(f"DELETE FROM {table} WHERE user_id = $1", proof.user_id)
        await self._outbox.publish(tx, proof.user_id, UserDeleted(user_id=proof.user_id))


async def _credentials(tx: Transaction, column: str, value: str) -> Credentials | None:
    row = await tx.fetch_one(f"SELECT {_COLUMNS}, password_hash FROM users WHERE {column} = $1", value)
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
    return Account(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        roles=tuple(row["roles"].split()),
        created_at=row["created_at"],
        locale=row["locale"],
        unsubscribed=bool(row["unsubscribed"]),
        phone=row["phone"],
    )
