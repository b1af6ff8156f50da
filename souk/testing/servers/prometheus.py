"""Prometheus, which scrapes what a file names, with the project's rules."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered

_INTERVAL = re.compile(r"\b(scrape_interval|evaluation_interval|refresh_interval|interval): \w+")
_WAITS = re.compile(r"^ *for: .*\n", re.MULTILINE)


class PrometheusServer(EngineServer):
    """Scrapes what `targets` names once a second, and judges the rules of `deployed` as often, without their waits."""

    name = "prometheus"

    def __init__(self, folder: Path, deployed: Path) -> None:
        super().__init__(folder)
        self._program = engine_path("prometheus")
        self._port, self._folder, self._deployed = free_port(), folder, deployed
        self.targets = folder / "targets.json"

    @property
    def promtool(self) -> str:
        """The path of its tool."""
        return str(Path(self._program).with_name("promtool"))

    @property
    def url(self) -> str:
        """The URL of its API."""
        return f"http://127.0.0.1:{self._port}/api/v1"

    def get(self, path: str, **query: str) -> Any:
        """Asks its API; returns the data of the answer."""
        answer = httpx.get(f"{self.url}/{path}", params=query, trust_env=False)
        return answer.raise_for_status().json()["data"]

    def command(self) -> Sequence[str]:
        return (
            self._program,
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--enable-feature=exemplar-storage",
        )

    def prepare(self) -> None:
        for name in ("prometheus.yml", "rules.yml"):
            text = _INTERVAL.sub(r"\1: 1s", (self._deployed / name).read_text())
            (self._folder / name).write_text(_WAITS.sub("", text))

    async def answers(self) -> bool:
        return await is_answered(f"{self.url}/status/buildinfo")
