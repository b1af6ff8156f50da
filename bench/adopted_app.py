"""A bare ASGI application; run, it serves itself under uvicorn alone, at a free port that it prints."""

import socket
from typing import Any

import uvicorn

_BODY = b'{"says": "' + b"x" * 200 + b'"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers every request with the same JSON."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])  # as ASGI has it: the server then goes on without a lifespan
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def main() -> None:
    """Serves it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, http="httptools", loop="uvloop", lifespan="off", access_log=False, log_config=None)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
