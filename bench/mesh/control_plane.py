"""Measures the control plane with a thousand sidecars that are simulated: real streams of gRPC, without a proxy."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from bench.figures import Figure, Section, median, progress
from bench.mesh.plane import SOCKET, Answer, running_plane
from bench.system import process_with_lines
from souk.gateway.settings import GATEWAY_SERVICE
from souk.runtime.config.entry_points import app

CALLEE = "order"
"""The service that changes: most others may call it."""
CLIENTS = 2
"""Processes that the sidecars are in."""
AT_ONCE = 100
_RUNS = 9


def measure(folder: Path, *, sidecars: int) -> Section:
    """Connects so many sidecars to one control plane, and changes the registry under them."""
    services = [*(service.name for service in app(None).services), GATEWAY_SERVICE]
    each = sidecars // len(services)
    with running_plane(folder / "plane") as plane:
        before, idle = plane.ask(), plane.memory
        plane.ask("join", instances=list(_instances(services, each)))
        progress(f"control plane: {each * len(services)} sidecars connect")
        with _connected(folder / "plane" / SOCKET, services, each):
            connected = plane.ask("settled", nodes=each * len(services))
            started, memory = plane.ask(), plane.memory
            progress("control plane: one instance changes, again and again")
            ones = [plane.ask("change", service=CALLEE, instances=1) for _ in range(_RUNS)]
            progress(f"control plane: {AT_ONCE} instances change at once")
            many = [plane.ask("change", service=CALLEE, instances=min(AT_ONCE, each)) for _ in range(3)]
            rotated = plane.ask("rotate")
            later = plane.memory
    section = Section("control plane", details={"one": [asdict(one) for one in ones]})
    first = Answer(connected.seconds, started.cpu - before.cpu, started.cpu, None)
    _report(section, each * len(services), first, ones, many, rotated)
    section.add(
        Figure("  memory of it without sidecars", idle, "MiB"),
        Figure("  memory with them", memory, "MiB"),
        Figure("  memory after all of that", later, "MiB"),
    )
    return section


def _report(
    section: Section, nodes: int, first: Answer, ones: list[Answer], many: list[Answer], rotated: Answer
) -> None:
    callers = ones[0].found
    section.add(
        Figure(f"{nodes} sidecars connect at once, and have all, certificates included", first.seconds, "s"),
        Figure("  CPU of the control plane", first.spent, "s"),
        Figure(
            f"one instance changes: the last of {callers} sidecars has said so",
            median(one.seconds for one in ones) * 1e3,
            "ms",
        ),
        Figure("  the slowest time", max(one.seconds for one in ones) * 1e3, "ms"),
        Figure("  CPU of the control plane", median(one.spent for one in ones) * 1e3, "ms"),
        Figure(f"{AT_ONCE} instances change one after the other", median(one.seconds for one in many) * 1e3, "ms"),
        Figure("  CPU of the control plane", median(one.spent for one in many) * 1e3, "ms"),
        Figure("another root is trusted by all", rotated.seconds, "s"),
        Figure("  CPU of the control plane", rotated.spent, "s"),
    )


def _instances(services: list[str], each: int) -> Iterator[dict[str, str]]:
    for service in services:
        for number in range(each if service != GATEWAY_SERVICE else 0):
            name = f"{service}-{number}"
            sockets = {"address": f"unix:/run/{name}.in.sock", "app": f"unix:/run/{name}.grpc.sock"}
            yield {"service": service, "id": name, **sockets}


@contextmanager
def _connected(socket: Path, services: list[str], each: int) -> Iterator[None]:
    with ExitStack() as stack:
        for client in range(CLIENTS):
            first, end = each * client // CLIENTS, each * (client + 1) // CLIENTS
            wanted = [f"{service}:{first}:{end - first}" for service in services]
            command = (sys.executable, "-m", "bench.mesh.simulated", str(socket), *wanted)
            stack.enter_context(process_with_lines(command))
        yield
