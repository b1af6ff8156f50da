"""The sandbox bank: how it charges, voids and refunds each of its cards, independent of any transport."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from marketplace.payment.adapters.sandbox.cards import CARDS
from marketplace.payment.adapters.sandbox.store import Book, Entry
from marketplace.payment.ports import ProviderAnswer, ProviderCharge, RefundVerdict, Verdict
from souk.sdk import MICROSECONDS, Clock, Database, Transaction, new_id
from souk.sdk.emulator import SqliteDatabase, migrate

FILE = "sandbox-bank.db"
FOR_EVER = 365 * 86_400.0
"""Seconds that a lost answer takes: longer than any client waits."""

Sleep = Callable[[float], Awaitable[None]]


class BankRefusal(Exception):
    """The bank refuses a request; `code` says why. Nothing was done."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SandboxBank:
    """Charges, voids and refunds, and stores each durably before it answers.

    `sleep` waits the given seconds for a slow card; tests pass their own.
    """

    def __init__(self, database: Database, clock: Clock, sleep: Sleep) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._book = Book()

    @classmethod
    async def open(cls, folder: Path, clock: Clock, sleep: Sleep = asyncio.sleep) -> "SandboxBank":
        """Opens the bank with its book in a folder."""
        database = await SqliteDatabase.open(folder / FILE, clock=clock)
        await migrate(database, files(__package__) / "migrations", "sandbox-bank")
        return cls(database, clock, sleep)

    async def charge(self, key: str, token: str, amount: int, currency: str) -> ProviderAnswer:
        """Charges a card, once for each key. It does not return for a card whose answers are lost.

        Raises BankRefusal for an unknown card, for another request under the same key, and for the card that
        always fails.
        """
        card = CARDS.get(token)
        if card is None:
            raise BankRefusal("invalid_token")
        if card.fails:
            raise BankRefusal("provider_error")
        verdict = Verdict.DECLINED if card.declines else Verdict.CHARGED
        settles_at = self._clock.now() + round(card.delay * MICROSECONDS) if card.delay else 0
        entry = Entry(key, token, amount, currency, verdict.value, card.declines, settles_at)
        entry = await self._database.run(lambda tx: self._enter(tx, entry))
        if card.silent:
            await self._sleep(FOR_EVER)
        return await self._settled(entry)

    async def find(self, key: str) -> ProviderAnswer | None:
        """Returns the outcome of a charge; None for an unknown key."""
        entry = await self._database.read(lambda tx: self._book.find(tx, key))
        return None if entry is None else self._answer(entry)

    async def void(self, key: str) -> ProviderAnswer:
        """Voids a charge that has not settled, and returns its final outcome; an unknown key is blocked."""
        tombstone = Entry(key, "", 0, "", Verdict.VOIDED.value, "", 0)

        async def work(tx: Transaction) -> Entry:
            if await self._book.insert(tx, tombstone):
                return tombstone
            await self._book.void(tx, key, self._clock.now())
            return _there(await self._book.find(tx, key))

        return self._answer(await self._database.run(work))

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """Refunds an amount, once for each key; raises BankRefusal when less than that is left of the charge."""

        async def work(tx: Transaction) -> None:
            if not await self._book.refund(tx, key, charge_key, amount):
                raise BankRefusal("not_refundable")

        await self._database.run(work)
        return RefundVerdict.MADE

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """Returns the outcome of a refund; None for an unknown key."""
        known = await self._database.read(lambda tx: self._book.knows_refund(tx, key))
        return RefundVerdict.MADE if known else None

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """Returns a page of charges in order of entry, after the key `after`, declined and voided ones too."""
        found = await self._database.read(lambda tx: self._book.page(tx, after, limit))
        return [
            ProviderCharge(one.key, one.amount, one.currency, self._answer(one).verdict, refunded)
            for one, refunded in found
        ]

    async def identity(self) -> str:
        """Returns the id of the book, which never changes."""
        return await self._database.run(lambda tx: self._book.identity(tx, new_id("BANK", self._clock)))

    async def taken(self, currency: str) -> int:
        """Returns what was charged and not refunded, in minor units."""
        return await self._database.read(lambda tx: self._book.taken(tx, currency))

    async def close(self) -> None:
        """Closes the book."""
        await self._database.close()

    async def _enter(self, tx: Transaction, entry: Entry) -> Entry:
        if await self._book.insert(tx, entry):
            return entry
        found = _there(await self._book.find(tx, entry.key))
        voided = found.verdict == Verdict.VOIDED.value
        if not voided and (found.token, found.amount, found.currency) != (entry.token, entry.amount, entry.currency):
            raise BankRefusal("key_reused")
        return found

    async def _settled(self, entry: Entry) -> ProviderAnswer:
        """Waits until the charge settles, and returns the answer: a slow charge may be voided meanwhile."""
        wait = (entry.settles_at - self._clock.now()) / MICROSECONDS if entry.settles_at else 0.0
        if wait <= 0 or entry.verdict != Verdict.CHARGED.value:
            return self._answer(entry)
        await self._sleep(wait)

        async def work(tx: Transaction) -> Entry:
            await self._book.settle(tx, entry.key)
            return _there(await self._book.find(tx, entry.key))

        return self._answer(await self._database.run(work))

    def _answer(self, entry: Entry) -> ProviderAnswer:
        verdict = Verdict(entry.verdict)
        if verdict is Verdict.CHARGED and entry.settles_at > self._clock.now():
            verdict = Verdict.PROCESSING
        return ProviderAnswer(verdict, entry.reason)


def _there(entry: Entry | None) -> Entry:
    assert entry is not None, "the book never forgets a key"
    return entry
