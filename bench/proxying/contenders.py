"""Starts the servers that are measured, each on one core, in front of the same plain server on the other."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import psutil
from google.protobuf.json_format import MessageToDict

from bench.gateway import PACKAGES, Contender, cores, load_of, started
from bench.gateway_stub import order
from bench.npm import CACHE, HERE, bring
from bench.proxying.engines import EngineCommand, caddy, envoy, nginx_config, traefik
from bench.system import free_port

OURS = "gateway: plain proxying"
EXPRESS = PACKAGES
FASTIFY = "fastify 5 + @fastify/http-proxy"
NGINX = "nginx"
ENVOY = "Envoy 1.40, one worker"
CADDY = "Caddy 2.11, GOMAXPROCS=1"
TRAEFIK = "Traefik 3.6, GOMAXPROCS=1"
EMPTY = "an empty answer of our HTTP server"
HOP = "a bare hop (octets, uvloop)"
PATH = "/api/v2/orders"
DIRECT = "the server itself"


def answer() -> str:
    """Gives the JSON that every request is answered with."""
    return orjson.dumps(MessageToDict(order())).decode()


@dataclass(slots=True)
class Field:
    """The contenders of a run, all started, and what is `missing` of them on this machine."""

    folder: Path
    seconds: float
    stack: ExitStack
    found: list[Contender] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], *, core: int | None = None, port: int = 0) -> int:
        """Starts a server, which prints its port unless it is given; returns the port."""
        core = cores()[0] if core is None else core
        process, line = self.stack.enter_context(started(command, core, self.folder / "proxying.log"))
        port = port or int(line)
        load = replace(load_of(port, self.seconds, "x" * 300), path=PATH)
        self.found.append(Contender(name, psutil.Process(process.pid), load))
        return port

    def gateway(self, upstream: int) -> None:
        """Starts our gateway, with a routes file instead of the contracts' route."""
        port, routes = free_port(), self.folder / "routes.yaml"
        routes.write_text(f"routes:\n  {PATH}: http://127.0.0.1:{upstream}\n")
        arguments = (str(self.folder / "proxying"), str(port), str(routes))
        self.start(OURS, (sys.executable, "-m", "bench.gateway_stub", *arguments), port=port)

    def node(self, name: str, folder: str, package: str, upstream: int) -> None:
        """Starts a proxy for node."""
        if bring(folder, package) is None:
            self.missing.append(f"{name} is not measured: it needs node and npm")
        else:
            self.start(name, ("node", str(CACHE / folder / "proxy.js"), str(upstream)))

    def nginx(self, upstream: int) -> None:
        """Starts nginx, with a log of requests, as the others have one where they have it by default."""
        if shutil.which("nginx") is None:
            self.missing.append("nginx is not measured: it is not installed")
            return
        port = free_port()
        behind = f"upstream behind {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}"
        passing = 'proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";'
        log = str(self.folder / "nginx-access.log")
        config = nginx_config(self.folder, "nginx", port, passing, before=behind, log=log)
        self.start(NGINX, ("sh", "-c", f"(sleep 0.5; echo {port}) & exec nginx -c {config}"))

    def engine(self, name: str, command_of: EngineCommand, upstream: int) -> None:
        """Starts a proxy that is an engine here."""
        port = free_port()
        command = command_of(self.folder, port, upstream)
        if command is None:
            self.missing.append(
                f"{name} is not measured: `python tools/engines.py install {command_of.__name__}` brings it"
            )
        else:
            self.start(name, ("sh", "-c", f'(sleep 2; echo {port}) & exec "$@"', "sh", *command), port=port)


@contextmanager
def contenders(folder: Path, seconds: float) -> Iterator[Field]:
    """Starts all that this machine has, and ends them after the block."""
    with ExitStack() as stack:
        run = Field(folder, seconds, stack)
        upstream = run.start(DIRECT, ("node", str(HERE / "express" / "upstream.js"), answer()), core=cores()[1])
        bare = (sys.executable, "-m", "bench.proxying.bare")
        run.start(HOP, (*bare, "hop", str(upstream)))
        run.start(EMPTY, (*bare, "empty", answer()))
        run.gateway(upstream)
        run.node(EXPRESS, "express", "http-proxy-middleware", upstream)
        run.node(FASTIFY, "fastify", "@fastify/http-proxy", upstream)
        run.nginx(upstream)
        run.engine(ENVOY, envoy, upstream)
        run.engine(CADDY, caddy, upstream)
        run.engine(TRAEFIK, traefik, upstream)
        yield run
