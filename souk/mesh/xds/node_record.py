"""What the control plane knows of one sidecar, whether it is connected or not."""

import asyncio
from collections.abc import Mapping

from souk.mesh.xds.delta_stream import Acknowledgement, DeltaStream
from souk.mesh.xds.snapshot import ResourceSnapshot
from souk.mesh.xds.subscription import Rejection


class NodeRecord:
    """The newest snapshot of a sidecar, its stream while it is connected, and what it has rejected so far."""

    def __init__(self) -> None:
        self.snapshot: ResourceSnapshot | None = None
        self.stream: DeltaStream | None = None
        self._rejections: dict[str, dict[str, Rejection]] = {}
        self._changed = asyncio.Event()

    def publish(self, snapshot: ResourceSnapshot) -> None:
        """Replaces the snapshot, also that of the stream."""
        self.snapshot = snapshot
        if self.stream is not None:
            self.stream.replace(snapshot)
        self.notify()

    def connect(self) -> DeltaStream:
        """Makes the stream of a new connection. One that is still there is replaced, and ends."""
        self.stream = DeltaStream(self._rejections)
        if self.snapshot is not None:
            self.stream.replace(self.snapshot)
        self.notify()
        return self.stream

    def disconnect(self, stream: DeltaStream) -> None:
        """Takes note that a connection has ended."""
        if self.stream is stream:
            self.stream = None
        self.notify()

    def notify(self) -> None:
        """Wakes all who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Waits until something changes: a snapshot, a connection, or what the sidecar has."""
        await self._changed.wait()

    @property
    def at_rest(self) -> bool:
        """Whether the sidecar is connected, has asked for something, and has all of it but what it has rejected."""
        return self.stream is not None and self.stream.at_rest

    def acknowledgements(self) -> Mapping[str, Acknowledgement]:
        """Gives what the sidecar has, by type; while it is not connected, what it has rejected."""
        if self.stream is not None:
            return self.stream.acknowledgements()
        return {
            type_url: Acknowledgement({}, tuple(rejections.values()), True)
            for type_url, rejections in self._rejections.items()
            if rejections
        }
