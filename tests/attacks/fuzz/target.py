"""What is fuzzed: a whole system with demo data in a process of its own, and a strict server behind its gateway."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

from souk.testing.system import Process
from tests.attacks.upstream import StrictUpstream, strict_upstream
from tests.runtime.process.ports import http_port, running

_QUICK = {f"SOUK_HTTP_{name}_TIMEOUT": "1" for name in ("FIRST_OCTET", "HEAD", "BODY", "IDLE")}
"""So that input that is not a whole request does not hold a connection for long."""
_DEMO = {"email": "demo@souk.test", "password": "demo-password"}


@dataclass
class FuzzTarget:
    """The system. `routes` is its routes file, which may be written anew at any time."""

    process: Process
    address: tuple[str, int]
    upstream: StrictUpstream
    routes: Path

    def resident(self) -> int:
        """Gives the bytes of memory that it has in use."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def token(self) -> str:
        """Logs in as the demo user."""
        return str(self._json("/api/v1/auth/token", json.dumps(_DEMO).encode())["accessToken"])

    def document(self) -> dict[str, Any]:
        """Reads its OpenAPI document."""
        return self._json("/openapi.json", None)

    def route(self) -> bytes:
        """Gives the routes file that leads to the strict server."""
        return f"routes: {{/up: {self.upstream.url}}}\n".encode()

    def _json(self, path: str, body: bytes | None) -> dict[str, Any]:
        host, port = self.address
        request = Request(f"http://{host}:{port}{path}", body, {"content-type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def fuzz_target(folder: Path) -> Iterator[FuzzTarget]:
    """Starts it, with its data in the folder."""
    with strict_upstream() as upstream:
        routes = folder / "routes.yaml"
        words = ("up", "--demo", "--port", "0", "--data", str(folder / "data"))
        process = Process("up", words, r"(http://\S+)", folder)
        target = FuzzTarget(process, ("", 0), upstream, routes)
        routes.write_bytes(target.route())
        with running(process, {"SOUK_ROUTES": str(routes), "SOUK_LIMITS": "off", **_QUICK}) as url:
            port = http_port("gateway", url, process)
            assert isinstance(port.address, tuple)
            target.address = port.address
            yield target
