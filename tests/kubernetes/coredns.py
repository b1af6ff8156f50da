"""The name server of a cluster, beside a cluster for tests."""

from collections.abc import Sequence
from pathlib import Path

from souk.kernel.addresses import LOOPBACK
from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered
from tests.kubernetes.cluster import Cluster

_COREFILE = """\
.:{port} {{
    bind {host}
    errors
    ready {host}:{ready}
    kubernetes cluster.local {{
        kubeconfig {kubeconfig} test
        ttl {seconds}
    }}
}}
"""


class CoreDns(EngineServer):
    """CoreDNS, which makes records of the Services and EndpointSlices of the API server, valid for `seconds`."""

    name = "coredns"

    def __init__(self, folder: Path, cluster: Cluster, seconds: int = 1) -> None:
        super().__init__(folder)
        self._program, self._kubeconfig, self._seconds = engine_path("coredns"), cluster.kubeconfig, seconds
        self.port, self._ready = free_port(), free_port()

    def prepare(self) -> None:
        options = {"host": LOOPBACK, "port": self.port, "ready": self._ready}
        text = _COREFILE.format(**options, kubeconfig=self._kubeconfig, seconds=self._seconds)
        (self.folder / "Corefile").write_text(text)

    def command(self) -> Sequence[str]:
        return (self._program, "-conf", str(self.folder / "Corefile"))

    async def answers(self) -> bool:
        return await is_answered(f"http://{LOOPBACK}:{self._ready}/ready")
