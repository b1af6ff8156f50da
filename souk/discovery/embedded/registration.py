"""An instance's registration in the embedded registry: one stream, opened again when it breaks;
and the translation of instances to messages of the registry's contract."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc.aio
from soukapi.v1.registry_pb2 import RegisteredInstance, RegisterRequest

from souk.discovery.availability import Availability
from souk.discovery.registry import Instance, checked

PATIENCE = 1.0
"""Seconds that a caller waits for a registry that does not answer; the registry gets the change later."""


class EmbeddedRegistration:
    """Announces an instance again and again until it leaves; `begin` begins a call of `Register`."""

    def __init__(
        self, instance: Instance, begin: Callable[[], Any], availability: Availability, silence: float
    ) -> None:
        self._leaving = asyncio.Event()
        self._instance, self._healthy = instance, True
        self._begin, self._availability, self._silence = begin, availability, silence
        self._due, self._acknowledged = asyncio.Event(), asyncio.Event()
        self._task = asyncio.ensure_future(availability.keep(self._stay))

    @property
    def left(self) -> bool:
        """Whether the instance has left, or is leaving."""
        return self._leaving.is_set()

    async def set_healthy(self, healthy: bool) -> None:
        """Sets whether the instance takes calls."""
        self._healthy = healthy
        await self._announce()

    async def update(self, instance: Instance) -> None:
        """Changes the instance's data; its id and service stay."""
        self._instance = checked(replace(instance, service=self._instance.service, id=self._instance.id))
        await self._announce()

    async def leave(self) -> None:
        """Withdraws the instance from the registry."""
        self._leaving.set()
        self._due.set()
        try:
            await asyncio.wait({self._task}, timeout=PATIENCE)
        finally:
            self._task.cancel()
        await asyncio.wait({self._task})

    async def announced(self) -> None:
        """Waits until the registry knows the last announcement, or is found to be away."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._acknowledged.wait()
        except TimeoutError:
            return

    async def _announce(self) -> None:
        self._acknowledged.clear()
        self._due.set()
        if not self._availability.away and not self.left:
            await self.announced()

    async def _stay(self) -> None:
        if not self.left:  # otherwise the stream that broke has left already
            await self._hold(self._begin())

    async def _hold(self, call: Any) -> None:
        """Keeps the registration by one stream, until it leaves or the stream breaks."""
        call.add_done_callback(lambda _: self._due.set())
        try:
            while not self.left:
                lease = await self._exchange(call)
                await self._until_next(lease / 3)
            await call.done_writing()
            await call.read()
        finally:
            call.cancel()
            self._acknowledged.set()

    async def _exchange(self, call: Any) -> float:
        """Announces the instance as it is now; returns the lease in seconds."""
        self._due.clear()
        if call.done():
            raise ConnectionError(await call.details())
        async with asyncio.timeout(self._silence):
            await call.write(RegisterRequest(instance=to_wire(self._instance), healthy=self._healthy))
            answer = await call.read()
        if answer is grpc.aio.EOF:
            raise ConnectionError("the registry has stopped")
        self._availability.found()
        if not self._due.is_set():
            self._acknowledged.set()
        return float(answer.lease.ToMilliseconds() / 1_000)

    async def _until_next(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._due.wait()
        except TimeoutError:
            return


def to_wire(instance: Instance) -> RegisteredInstance:
    """Returns the message for an instance."""
    return RegisteredInstance(
        service=instance.service,
        id=instance.id,
        address=instance.address,
        version=instance.version,
        zone=instance.zone,
        weight=instance.weight,
        metadata=dict(instance.metadata),
    )


def from_wire(message: RegisteredInstance) -> Instance:
    """Returns the instance in a message."""
    return Instance(
        service=message.service,
        id=message.id,
        address=message.address,
        version=message.version,
        zone=message.zone,
        weight=message.weight,
        metadata=dict(message.metadata),
    )
