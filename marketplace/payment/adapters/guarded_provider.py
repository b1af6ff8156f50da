"""A circuit breaker around the card provider: one that does not answer is left alone for a while."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from marketplace.payment.ports import (
    CardFace,
    CardProvider,
    ProviderAnswer,
    ProviderCharge,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RefundVerdict,
)
from souk.sdk import Backoff, Breaker, BreakerSettings, Clock, Permit

T = TypeVar("T")

BREAKER = BreakerSettings(
    failure_rate=0.5, window=20, minimum_calls=10, probes=2, open_for=Backoff(5.0, 30.0, jitter=0.0)
)
"""Silence is a failure, and that nobody can be reached. Whatever is answered is none."""


class GuardedProvider:
    """Implements `ports.CardProvider` over another one. Open, it fails at once: nothing was asked.

    A card may be one whose answers are always lost. So of one customer's card at most one silence counts
    in the breaker's window, or one customer could close card payments for all.
    """

    def __init__(self, provider: CardProvider, breaker: Breaker, clock: Clock) -> None:
        self._provider = provider
        self._breaker = breaker
        self._clock = clock
        self._counted = 0
        self._silent: dict[tuple[str, str], int] = {}

    async def charge(self, key: str, token: str, amount: int, currency: str, customer: str = "") -> ProviderAnswer:
        """Takes money from a card."""
        return await self._guard(
            lambda: self._provider.charge(key, token, amount, currency, customer), (customer, token)
        )

    async def find(self, key: str) -> ProviderAnswer | None:
        """What became of a charge."""
        return await self._guard(lambda: self._provider.find(key))

    async def void(self, key: str) -> ProviderAnswer:
        """Blocks a charge that has not happened yet."""
        return await self._guard(lambda: self._provider.void(key))

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """Gives back money of a charge."""
        return await self._guard(lambda: self._provider.refund(key, charge_key, amount))

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """What became of a refund."""
        return await self._guard(lambda: self._provider.find_refund(key))

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """The provider's own record."""
        return await self._guard(lambda: self._provider.charges(after, limit))

    def face_of(self, token: str) -> CardFace | None:
        """The card behind a token: known without asking."""
        return self._provider.face_of(token)

    async def close(self) -> None:
        """Closes the provider."""
        await self._provider.close()

    async def _guard(self, ask: Callable[[], Awaitable[T]], card: tuple[str, str] | None = None) -> T:
        begun = self._clock.monotonic()
        permit = self._breaker.acquire(begun)
        if permit is None:
            raise ProviderUnavailable(
                "the card provider is not called for now, because calls to it failed", self._breaker.retry_after(begun)
            )
        try:
            answer = await ask()
        except ProviderRefused:
            self._answered(permit, begun)
            raise
        except (ProviderSilent, ProviderUnavailable) as error:
            self._failed(permit, begun, card if isinstance(error, ProviderSilent) else None)
            raise
        except BaseException:
            permit.ignore(self._clock.monotonic())
            raise
        self._answered(permit, begun)
        return answer

    def _answered(self, permit: Permit, begun: float) -> None:
        now = self._clock.monotonic()
        self._counted += 1
        permit.succeed(now, now - begun)

    def _failed(self, permit: Permit, begun: float, card: tuple[str, str] | None) -> None:
        now = self._clock.monotonic()
        if card is not None and not self._first_silence(card):
            permit.ignore(now)
            return
        self._counted += 1
        permit.fail(now, now - begun)

    def _first_silence(self, card: tuple[str, str]) -> bool:
        """Whether no silence of this card is in the window; then it is noted."""
        oldest = self._counted - self._breaker.settings.window
        self._silent = {one: at for one, at in self._silent.items() if at > oldest}
        if card in self._silent:
            return False
        self._silent[card] = self._counted
        return True
