"""Jaeger, which keeps traces in memory and takes them by OTLP."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered

_SETTINGS = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}}
  telemetry: {{logs: {{level: warn}}, metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: mem}}
    http: {{endpoint: 127.0.0.1:{query}}}
    grpc: {{endpoint: 127.0.0.1:{query_grpc}}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:{grpc}}}, http: {{endpoint: 127.0.0.1:{http}}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
exporters: {{jaeger_storage_exporter: {{trace_storage: mem}}}}
"""


class JaegerServer(EngineServer):
    """OTLP at `otlp_http` and `otlp_grpc`; what it has taken is at `query`/api/traces."""

    name = "jaeger"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = engine_path("jaeger")
        self._ports = {name: free_port() for name in ("query", "query_grpc", "grpc", "http")}
        self._settings = folder / "jaeger.yaml"

    @property
    def query(self) -> str:
        """The URL of its query API."""
        return f"http://127.0.0.1:{self._ports['query']}"

    @property
    def otlp_http(self) -> str:
        """Where it takes OTLP over HTTP."""
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def otlp_grpc(self) -> str:
        """Where it takes OTLP over gRPC."""
        return f"http://127.0.0.1:{self._ports['grpc']}"

    def command(self) -> Sequence[str]:
        return (self._program, "--config", f"file:{self._settings}")

    def environment(self) -> Mapping[str, str]:
        return {"OTEL_TRACES_SAMPLER": "always_off"}  # of itself

    def prepare(self) -> None:
        self._settings.write_text(_SETTINGS.format(**self._ports))

    async def answers(self) -> bool:
        return await is_answered(f"{self.query}/api/services")
