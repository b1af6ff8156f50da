"""Responses to HTTP/1.0, which has no chunks: a body of unknown length lasts until the connection ends."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class UnframedCycle(RequestResponseCycle):
    """uvicorn's exchange of one request and its response, without its chunks."""

    _unframed = False

    async def send(self, message: Any) -> None:
        """Sends a message of ASGI."""
        if message["type"] == "http.response.start":
            self._unframed = not any(name == b"content-length" for name, _ in message["headers"])
            if self._unframed:
                self.chunked_encoding = False
        elif self._unframed:
            self.expected_content_length = len(message.get("body", b""))  # whatever comes is right
        await super().send(message)
