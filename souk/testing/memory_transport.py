"""A transport in memory: a test reads what a protocol wrote, and whether it closed."""

import asyncio
import socket
from typing import Any


class MemoryTransport(asyncio.Transport):
    """An asyncio transport in memory. Pass it to `connection_made`, then feed the protocol by `data_received`."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False
        self._pair = socket.socketpair()  # a real socket, for code that reads its options

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
        """Does nothing: a closed write side needs no action here."""

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def dispose(self) -> None:
        """Closes its sockets."""
        for end in self._pair:
            end.close()
