"""A transport that leads nowhere: what a protocol writes can be read, and that it closed can be seen."""

import asyncio
import socket
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Give it to a protocol by `connection_made`; then feed the protocol by `data_received`."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self._pair = socket.socketpair()  # for those who ask the kernel

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "socket": self._pair[0]}.get(name, default)

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written after the end"
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nothing more is written; what comes is still read."""

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def dispose(self) -> None:
        """Gives back what it took from the kernel."""
        for end in self._pair:
            end.close()
