"""A gateway in a process of its own, which passes `/up` on to a strict server of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attacks.upstream import StrictUpstream, strict_upstream
from tests.runtime.process.ports import Port, gateway


@dataclass(frozen=True)
class Target:
    """The gateway, and the server behind it."""

    port: Port
    upstream: StrictUpstream

    @property
    def address(self) -> tuple[str, int]:
        """Where the gateway listens."""
        assert isinstance(self.port.address, tuple)
        return self.port.address


@contextmanager
def proxying(folder: Path, settings: dict[str, str] | None = None) -> Iterator[Target]:
    """Starts both."""
    with strict_upstream() as upstream:
        routes = folder / "routes.yaml"
        routes.write_text(f"routes: {{/up: {upstream.url}}}\n")
        with gateway(folder, {"SOUK_ROUTES": str(routes), "SOUK_LIMITS": "off", **(settings or {})}) as (port, _):
            yield Target(port, upstream)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with proxying(tmp_path_factory.mktemp("attacked")) as found:
        yield found
