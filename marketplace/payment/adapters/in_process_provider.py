"""The sandbox bank as a card provider inside this process. A crash ends it, but its book is durable."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from marketplace.payment.adapters.sandbox.bank import BankRefusal, SandboxBank
from marketplace.payment.adapters.sandbox.cards import face_of
from marketplace.payment.ports import (
    CardFace,
    ProviderAnswer,
    ProviderCharge,
    ProviderRefused,
    ProviderSilent,
    RefundVerdict,
)
from souk.sdk import StoreError

T = TypeVar("T")


class InProcessProvider:
    """Implements `ports.CardProvider` by the sandbox bank. A call is given up after `timeout` seconds."""

    def __init__(self, bank: SandboxBank, timeout: float) -> None:
        self._bank = bank
        self._timeout = timeout

    async def charge(self, key: str, token: str, amount: int, currency: str, customer: str = "") -> ProviderAnswer:
        """Charges a card."""
        return await self._ask(self._bank.charge(key, token, amount, currency))

    async def find(self, key: str) -> ProviderAnswer | None:
        """Returns the outcome of a charge."""
        return await self._ask(self._bank.find(key))

    async def void(self, key: str) -> ProviderAnswer:
        """Blocks a charge that has not happened yet."""
        return await self._ask(self._bank.void(key))

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """Refunds an amount of a charge."""
        return await self._ask(self._bank.refund(key, charge_key, amount))

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """Returns the outcome of a refund."""
        return await self._ask(self._bank.find_refund(key))

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """Returns a page of the bank's own record of charges."""
        return await self._ask(self._bank.charges(after, limit))

    def face_of(self, token: str) -> CardFace | None:
        """Returns the brand and last digits behind a token."""
        return face_of(token)

    async def close(self) -> None:
        """Closes the bank."""
        await self._bank.close()

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await question
        except TimeoutError:
            raise ProviderSilent(f"the card provider did not answer within {self._timeout:g} s") from None
        except StoreError as error:
            raise ProviderSilent("the sandbox bank is unavailable") from error
        except BankRefusal as refusal:
            raise ProviderRefused(f"the card provider refused: {refusal.code}") from refusal
