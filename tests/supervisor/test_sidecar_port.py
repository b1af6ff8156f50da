"""The port of a sidecar that another program has taken before Envoy starts: the start says so."""

import socket
from pathlib import Path

import pytest

from souk.kernel.addresses import LOOPBACK
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.layout import DataLayout
from souk.supervisor.isolation.rules import IsolationRules
from souk.supervisor.sidecars import Sidecars


async def test_a_port_that_is_taken_by_now_is_said(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    layout.prepare()
    sidecars = Sidecars(layout, b"s" * 32, True, "", Path("envoy"), IsolationRules("as a test wants", {}))
    spec, own = sidecars.beside("payment", "payment-1", None, takes_calls=True)
    port = own["ADVERTISE"].rpartition(":")[2]
    taken = f"port {port}, at which this sidecar takes calls, is taken"
    with socket.create_server((LOOPBACK, int(port))), pytest.raises(ConfigurationError, match=taken):
        await spec.command()
    await spec.command()
