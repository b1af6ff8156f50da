"""Idempotency keys: a request that is sent twice is done once, and its answer is replayed.

A key belongs to its caller and method. It is recorded with a fingerprint of the request, in the
transaction that records what the request created. Its final answer is stored with it, as the response
message or as a google.rpc.Status, and is never replaced.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from souk.kernel.errors import DomainError, InvalidArgument, StoreError, Violation
from souk.store.database import Database, Transaction, Work
from souk.store.refusal import pack_refusal, unpack_refusal
from souk.telemetry.logs import logger

M = TypeVar("M", bound=Message)

KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
IN_PROGRESS = "REQUEST_IN_PROGRESS"
LONGEST_KEY = 255
_VERSION = "1"
REFUSED_KEPT = 24 * 3_600.0
"""Seconds for which the key of a refused request that created nothing is kept, to replay its answer."""
MOST_REFUSED = 1_000
"""The most such keys that are kept of one caller: the newest."""
SWEEP_EVERY = 60.0
"""Seconds between two searches for keys whose time is over."""
BATCH = 500
"""The most keys that are deleted in one transaction."""
_FORGET = """
    DELETE FROM souk_idempotency WHERE (caller, method, idempotency_key) IN (
        SELECT caller, method, idempotency_key FROM souk_idempotency
        WHERE subject = '' AND status IS NOT NULL {which} ORDER BY created_at {order} LIMIT $2 {skip}
    )
"""
_log = logger("store")


@dataclass(frozen=True, slots=True)
class Scope:
    """What identifies a key: the caller's subject, the method's full name, and the key itself.

    Raises InvalidArgument unless the key is 1 to 255 printable ASCII characters.
    """

    caller: str
    method: str
    key: str

    def __post_init__(self) -> None:
        if not (0 < len(self.key) <= LONGEST_KEY and self.key.isascii() and self.key.isprintable()):
            raise InvalidArgument([Violation("idempotency_key", "must be 1 to 255 printable ASCII characters")])


def fingerprint(message: Message, without: str = "") -> str:
    """Returns a versioned SHA-256 of a parsed request in canonical form, without the field that holds its key.

    The canonical form has fields in the order of their numbers, maps in the order of their keys, and no unknown
    fields, so it is the same for two requests that mean the same. The version in front of the digest tells a
    change of the canonical form from a different request.
    """
    canonical = type(message)()
    canonical.CopyFrom(message)
    canonical.DiscardUnknownFields()
    if without:
        canonical.ClearField(without)
    digest = hashlib.sha256(message.DESCRIPTOR.full_name.encode() + b"\0")
    digest.update(canonical.SerializeToString(deterministic=True))
    return f"{_VERSION}:{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A final answer: the bytes of the response message, or those of a google.rpc.Status."""

    message: bytes | None = None
    status: bytes | None = None

    @classmethod
    def done(cls, message: Message) -> "StoredReply":
        """Makes the reply of a method that answered with `message`."""
        return cls(message=message.SerializeToString(deterministic=True))

    @classmethod
    def refused(cls, error: DomainError) -> "StoredReply":
        """Makes the reply of a method that refused finally."""
        return cls(status=pack_refusal(error))

    def replay(self, kind: type[M]) -> M:
        """Returns the response again, or raises the DomainError again if the method refused."""
        if self.status is not None:
            raise unpack_refusal(self.status)
        return kind.FromString(self.message or b"")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A recorded key. `subject` names what its request created; `reply` is None until the answer is final."""

    scope: Scope
    fingerprint: str
    subject: str
    reply: StoredReply | None

    def require(self, fingerprint: str) -> None:
        """Raises DomainError IDEMPOTENCY_KEY_REUSED unless the request is the same."""
        if fingerprint != self.fingerprint:
            raise DomainError(KEY_REUSED, "this idempotency key was already used for another request")


class Idempotency:
    """The keys of one database."""

    async def find(self, tx: Transaction, scope: Scope) -> KeyRecord | None:
        """Returns the record of a key, or None. Call `require` on a record before its use."""
        row = await tx.fetch_one(
            "SELECT fingerprint, subject, reply, status FROM souk_idempotency"
            " WHERE caller = $1 AND method = $2 AND idempotency_key = $3",
            *(scope.caller, scope.method, scope.key),
        )
        if row is None:
            return None
        final = row["reply"] is not None or row["status"] is not None
        reply = StoredReply(row["reply"], row["status"]) if final else None
        return KeyRecord(scope, row["fingerprint"], row["subject"], reply)

    async def insert(self, tx: Transaction, scope: Scope, fingerprint: str, subject: str) -> bool:
        """Binds a key to a request; returns False, and changes nothing, if the key was already bound."""
        written = await tx.execute(
            "INSERT INTO souk_idempotency (caller, method, idempotency_key, fingerprint, subject, created_at)"
            f" VALUES ($1, $2, $3, $4, $5, {tx.dialect.now}) ON CONFLICT DO NOTHING",
            *(scope.caller, scope.method, scope.key, fingerprint, subject),
            expect_rows=1,
        )
        return written == 1

    async def finish(self, tx: Transaction, scope: Scope, reply: StoredReply) -> None:
        """Stores the final answer. Raises StoreError when the key is not bound, or already has a final answer."""
        written = await tx.execute(
            f"UPDATE souk_idempotency SET reply = $4, status = $5, finished_at = {tx.dialect.now}"
            " WHERE caller = $1 AND method = $2 AND idempotency_key = $3 AND finished_at IS NULL",
            *(scope.caller, scope.method, scope.key, reply.message, reply.status),
            expect_rows=1,
        )
        if written != 1:
            raise StoreError(f"the key of {scope.method} is not bound, or has its final answer")

    async def keep_newest_refused(self, tx: Transaction, caller: str, most: int = MOST_REFUSED) -> None:
        """Deletes the keys of a caller's requests that were refused and created nothing, except the `most` newest.

        It deletes at most `BATCH` keys.
        """
        await tx.execute(_FORGET.format(which="AND caller = $1", order="DESC", skip="OFFSET $3"), caller, BATCH, most)

    async def sweep_refused(self, tx: Transaction, older_than: float = REFUSED_KEPT, limit: int = BATCH) -> int:
        """Deletes up to `limit` keys of requests that were refused and created nothing; returns how many.

        Only keys that were bound more than `older_than` seconds ago are deleted, by the database's clock, oldest first.
        """
        statement = _FORGET.format(which=f"AND created_at < {tx.dialect.now} - $1", order="ASC", skip="")
        return await tx.execute(statement, round(older_than * 1_000_000), limit)


@dataclass(frozen=True, slots=True)
class IdempotentAnswer(Generic[M]):
    """The result of `once`: the response, and whether it is the replay of an earlier request's response."""

    message: M
    replayed: bool


async def once(database: Database, scope: Scope, fingerprint: str, work: Work[M], kind: type[M]) -> IdempotentAnswer[M]:
    """Runs `work` and stores its response under the key, in one transaction; a repeated request gets that response.

    It is for writes that end inside their transaction. When `work` raises, nothing is stored and the key
    stays free. Raises DomainError IDEMPOTENCY_KEY_REUSED when the key was used for another request, and
    REQUEST_IN_PROGRESS when the key is bound and has no final answer yet.
    """
    keys = Idempotency()

    async def keyed(tx: Transaction) -> IdempotentAnswer[M]:
        known = await keys.find(tx, scope)
        if known is not None:
            return _replayed(known, fingerprint, kind)
        await keys.insert(tx, scope, fingerprint, subject="")
        message = await work(tx)
        await keys.finish(tx, scope, StoredReply.done(message))
        return IdempotentAnswer(message, replayed=False)

    return await database.run(keyed)


async def sweep_for_ever(database: Database) -> None:
    """Deletes the keys of refused requests whose time is over, every `SWEEP_EVERY` seconds, until it is cancelled."""
    while True:
        try:
            while await database.run(Idempotency().sweep_refused) == BATCH:
                pass
        except StoreError as error:
            _log.warning("old keys could not be forgotten", error=str(error))
        await asyncio.sleep(SWEEP_EVERY)


def _replayed(known: KeyRecord, fingerprint: str, kind: type[M]) -> IdempotentAnswer[M]:
    known.require(fingerprint)
    if known.reply is None:
        raise DomainError(IN_PROGRESS, "this request is still in progress", retry_after=1.0)
    return IdempotentAnswer(known.reply.replay(kind), replayed=True)
