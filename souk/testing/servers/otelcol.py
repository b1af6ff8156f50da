"""OpenTelemetry's Collector, which takes traces and logs by OTLP and writes them to files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, listens

_SETTINGS = """
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:{grpc}}}, http: {{endpoint: 127.0.0.1:{http}}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters:
  file/traces: {{path: {folder}/traces.json, flush_interval: 100ms, append: true}}
  file/logs: {{path: {folder}/logs.json, flush_interval: 100ms, append: true}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [file/traces]}}
    logs: {{receivers: [otlp], processors: [batch], exporters: [file/logs]}}
  telemetry: {{logs: {{level: warn}}, metrics: {{level: none}}}}
"""


@dataclass(frozen=True, slots=True)
class CollectedRecord:
    """A span or a log record as OTLP's JSON has it, with the attributes of its resource and its own attributes."""

    resource: Mapping[str, object]
    attributes: Mapping[str, object]
    fields: Mapping[str, Any]


class OtelCollectorServer(EngineServer):
    """OTLP at `otlp_http` and `otlp_grpc`; what it has taken is in `spans` and `logs`."""

    name = "otelcol"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = engine_path("otelcol")
        self._ports = {"grpc": free_port(), "http": free_port()}
        self._settings = folder / "otelcol.yaml"

    @property
    def otlp_http(self) -> str:
        """Where it takes OTLP over HTTP."""
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def otlp_grpc(self) -> str:
        """Where it takes OTLP over gRPC."""
        return f"http://127.0.0.1:{self._ports['grpc']}"

    @property
    def spans(self) -> list[CollectedRecord]:
        """The spans that it has written, in their order."""
        return list(_records(self.folder / "traces.json", "resourceSpans", "scopeSpans", "spans"))

    @property
    def logs(self) -> list[CollectedRecord]:
        """The log records that it has written, in their order."""
        return list(_records(self.folder / "logs.json", "resourceLogs", "scopeLogs", "logRecords"))

    def command(self) -> Sequence[str]:
        return (self._program, "--config", f"file:{self._settings}")

    def prepare(self) -> None:
        self._settings.write_text(_SETTINGS.format(folder=self.folder, **self._ports))

    async def answers(self) -> bool:
        return all(map(listens, self._ports.values()))


def _records(file: Path, resources: str, scopes: str, records: str) -> Iterator[CollectedRecord]:
    lines = file.read_text().split("\n")[:-1] if file.exists() else []  # the last line may be half written
    for line in lines:
        for one in json.loads(line)[resources]:
            resource = _attributes(one["resource"])
            for scope in one[scopes]:
                yield from (CollectedRecord(resource, _attributes(record), record) for record in scope[records])


def _attributes(owner: Mapping[str, Any]) -> dict[str, object]:
    pairs = owner.get("attributes", [])
    return {pair["key"]: next(iter(pair["value"].values()), None) for pair in pairs}
