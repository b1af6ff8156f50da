"""A circuit breaker around the card provider: while the provider does not answer, it is not called."""

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
from souk.sdk import Backoff, Breaker, BreakerSettings, Clock, Permit, SpanKind, Tracer, recorded

T = TypeVar("T")

CARD_PROVIDER = "card-provider"
"""What operators know it by: around it are breakers, and spans are of calls to it."""
BREAKER = BreakerSettings(
    failure_rate=0.5, window=20, minimum_calls=10, probes=2, open_for=Backoff(5.0, 30.0, jitter=0.0)
)
"""No answer and no connection count as failures; every answer counts as a success."""


class GuardedProvider:
    """Implements `ports.CardProvider` by calling another one through a breaker. While it is open, calls fail at once.
    `tracer` records the calls.

    There may be a card whose answers are always lost. So at most one missing answer for each card of a customer
    counts in the breaker's window; else one customer could stop card payments for all.
    """

    def __init__(self, provider: CardProvider, breaker: Breaker, clock: Clock, tracer: Tracer | None = None) -> None:
        self._provider = provider
        self._tracer = tracer
        self._breaker = breaker
        self._clock = clock
        self._counted = 0
        self._silent: dict[tuple[str, str], int] = {}

    async def charge(self, key: str, token: str, amount: int, currency: str, customer: str = "") -> ProviderAnswer:
        """Charges a card."""
        return await self._guard(
            "charge", lambda: self._provider.charge(key, token, amount, currency, customer), (customer, token)
        )

    async def find(self, key: str) -> ProviderAnswer | None:
        """Returns the outcome of a charge."""
        return await self._guard("find", lambda: self._provider.find(key))

    async def void(self, key: str) -> ProviderAnswer:
        """Blocks a charge that has not happened yet."""
        return await self._guard("void", lambda: self._provider.void(key))

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """Refunds an amount of a charge."""
        return await self._guard("refund", lambda: self._provider.refund(key, charge_key, amount))

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """Returns the outcome of a refund."""
        return await self._guard("find_refund", lambda: self._provider.find_refund(key))

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """Returns a page of the provider's own record of charges."""
        return await self._guard("charges", lambda: self._provider.charges(after, limit))

    def face_of(self, token: str) -> CardFace | None:
        """Returns the brand and last digits behind a token; it makes no call."""
        return self._provider.face_of(token)

    async def close(self) -> None:
        """Closes the provider."""
        await self._provider.close()

    async def _guard(self, operation: str, ask: Callable[[], Awaitable[T]], card: tuple[str, str] | None = None) -> T:
        begun = self._clock.monotonic()
        permit = self._breaker.acquire(begun)
        if permit is None:
            raise ProviderUnavailable(
                "the card provider is not called for now, because calls to it failed", self._breaker.retry_after(begun)
            )
        try:
            with recorded(self._tracer, f"bank {operation}", SpanKind.CLIENT, {"peer.service": CARD_PROVIDER}):
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
        """Tells whether this is the only missing answer of the card in the breaker's window, and notes it if so."""
        oldest = self._counted - self._breaker.settings.window
        self._silent = {one: at for one, at in self._silent.items() if at > oldest}
        if card in self._silent:
            return False
        self._silent[card] = self._counted
        return True
