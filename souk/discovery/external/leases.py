"""Registrations by calls: announced, renewed before their lease is over, announced again when it was forgotten."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from random import Random
from secrets import token_hex
from typing import Protocol

from souk.discovery.availability import Availability
from souk.discovery.registry import Instance, checked
from souk.kernel.errors import SoukError

PATIENCE = 1.0
"""Seconds that a caller waits for a registry that does not answer; the registry gets the change later."""


class RegistryAway(SoukError):
    """The registry has not answered, or not as expected; the message is one line for operators."""


class LeaseBackend(Protocol):
    """What an adapter does for one claim, a text that is unique for each registration.

    A later claim takes an id over; the earlier one then has no effect. Every failure is a
    RegistryAway.
    """

    def check(self, instance: Instance) -> None:
        """Raises ConfigurationError for an instance that the registry can never hold."""
        ...

    async def announce(self, claim: str, instance: Instance, healthy: bool) -> None:
        """Takes the id from any other claim, or updates the data of this claim."""
        ...

    async def renew(self, claim: str, instance: Instance, healthy: bool) -> bool:
        """Renews the lease. Returns false when the registry does not know this claim any more."""
        ...

    async def owns(self, claim: str, instance: Instance) -> bool:
        """Returns whether no other claim has taken the id over."""
        ...

    async def withdraw(self, claim: str, instance: Instance) -> None:
        """Gives the id up, if this claim still holds it."""
        ...


class LeasedRegistration:
    """The port's `Registration`, kept alive by an adapter's leases."""

    def __init__(self, instance: Instance, leases: LeaseBackend, availability: Availability, lease: float) -> None:
        self._instance, self._healthy = instance, True
        self._leases, self._availability, self._lease = leases, availability, lease
        self._claim = token_hex(8)
        self._random = Random()
        self._announced: tuple[Instance, bool] | None = None
        self._due, self._acknowledged = asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Lock()
        self.left = False
        self._task = asyncio.ensure_future(self._stay())

    async def set_healthy(self, healthy: bool) -> None:
        """Sets whether the instance takes calls."""
        self._healthy = healthy
        await self._announce()

    async def update(self, instance: Instance) -> None:
        """Changes the instance's data; its id and service stay."""
        changed = checked(replace(instance, service=self._instance.service, id=self._instance.id))
        self._leases.check(changed)
        self._instance = changed
        await self._announce()

    async def leave(self) -> None:
        """Withdraws the instance from the registry."""
        if not self.left:
            self.left = True
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        await self._withdraw()
            finally:
                self._task.cancel()
        await asyncio.wait({self._task})

    async def announced(self) -> None:
        """Waits until the registry knows the last announcement, or is found to be away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._acknowledged.wait()

    async def _announce(self) -> None:
        self._acknowledged.clear()
        self._due.set()
        if not self._availability.away and not self.left:
            await self.announced()

    async def _stay(self) -> None:
        while True:
            await self._availability.keep(self._send)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease / 3 * self._random.uniform(0.8, 1.0)):
                    await self._due.wait()

    async def _send(self) -> None:
        self._due.clear()
        try:
            # A call that has begun is not cancelled when the instance leaves, or it might arrive after the withdrawal.
            async with self._sending:
                if not self.left:
                    await self._exchange(self._instance, self._healthy)
                    self._availability.found()
        finally:
            if not self._due.is_set():
                self._acknowledged.set()

    async def _exchange(self, instance: Instance, healthy: bool) -> None:
        announcement = (instance, healthy)
        if self._announced == announcement and await self._leases.renew(self._claim, instance, healthy):
            return
        if self._announced is None or await self._leases.owns(self._claim, instance):
            await self._leases.announce(self._claim, instance, healthy)
            self._announced = announcement

    async def _withdraw(self) -> None:
        async with self._sending:
            try:
                await self._leases.withdraw(self._claim, self._instance)
            except Exception as error:  # its lease runs out
                self._availability.lost(error)
