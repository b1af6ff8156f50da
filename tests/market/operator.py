"""Operates a fleet: changes it by the commands, and inspects it over its control socket."""

import asyncio
import io
import os
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import connection, operating
from souk.admin.documents import breaker_document, breaker_state, process_document
from souk.cli.root import cli
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.layout import DataLayout
from souk.testing.system import until

LIMIT = 120.0
EVERY = 0.1


@dataclass(frozen=True)
class Operator:
    """The operator of the fleet that runs on a data directory."""

    data: Path

    def souk(self, *words: str) -> str:
        """Runs a command, which must succeed, and gives its output. Runs it in this process, because starting
        another one takes longer than most commands."""
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            try:
                failed = cli.main([*words, "--data", str(self.data)], prog_name="souk", standalone_mode=False)
            except (click.ClickException, ConfigurationError) as error:
                failed = str(error)
        assert not failed, f"souk {' '.join(words)}: {failed} {said.getvalue()}"
        return said.getvalue()

    def ps(self) -> list[dict[str, Any]]:
        """Gives the processes, as `souk ps --json` does."""

        async def ask() -> list[dict[str, Any]]:
            async with operating(self.data) as fleet:
                found = await fleet.ListProcesses(fleet_pb2.ListProcessesRequest(), timeout=LIMIT)
                return [process_document(process) for process in found.processes]

        return asyncio.run(ask())

    def breakers(self, callee: str) -> list[dict[str, Any]]:
        """Gives the breakers around the calls to a service, as `souk breakers --json` does."""

        async def ask() -> list[dict[str, Any]]:
            async with operating(self.data) as fleet:
                found = await fleet.ListBreakers(fleet_pb2.ListBreakersRequest(), timeout=LIMIT)
                return [breaker_document(one) for one in found.breakers if one.callee == callee]

        return asyncio.run(ask())

    def process(self, instance: str) -> dict[str, Any]:
        """Gives one process."""
        return next(one for one in self.ps() if one["instance"] == instance)

    def without_registry(self, instance: str) -> bool:
        """Tells whether a process has noticed that its registry is away; asks the process itself, not the
        supervisor."""

        async def ask() -> str:
            async with connection(str(DataLayout(self.data).of(instance))) as channel:
                stub = fleet_pb2_grpc.ProcessStub(channel)
                status = await stub.GetStatus(fleet_pb2.GetStatusRequest(), timeout=LIMIT)
                return str(status.registry_away)

        return bool(asyncio.run(ask()))

    def instances(self, service: str) -> list[str]:
        """Gives the processes of a service; a restart gives them other names."""
        return [one["instance"] for one in self.ps() if one["service"] == service]

    def pid(self, instance: str) -> int:
        """Gives the pid of a running process."""
        return int(self.process(instance)["pid"])

    def kill(self, instance: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal to a process; returns its pid."""
        pid = self.pid(instance)
        os.kill(pid, number)
        return pid

    def start_stopped(self) -> None:
        """Starts each service that a test has stopped and not started again."""
        stopped = {one["service"] for one in self.ps() if one["state"] == "stopped"}
        if stopped:
            self.souk("start", *sorted(stopped))

    def calm(self) -> None:
        """Closes every breaker that an earlier test has opened."""

        async def close_breakers() -> None:
            async with operating(self.data) as fleet:
                found = await fleet.ListBreakers(fleet_pb2.ListBreakersRequest(), timeout=LIMIT)
                for callee in {one.callee for one in found.breakers if breaker_state(one) != "closed"}:
                    request = fleet_pb2.SetBreakerRequest(callee=callee, mode=fleet_pb2.BREAKER_MODE_CLOSED)
                    await fleet.SetBreaker(request, timeout=LIMIT)

        asyncio.run(close_breakers())

    def await_ready(self, limit: float = LIMIT) -> None:
        """Waits until every process takes calls."""
        until(_slowly(lambda: not self.not_ready()), limit, "every process is ready")

    def not_ready(self) -> list[str]:
        """Gives the processes that are not ready, and why."""
        try:
            return [f"{one['instance']} {one['state']} {one['why']}" for one in self.ps() if one["state"] != "ready"]
        except ConfigurationError as error:
            return [str(error)]

    def await_breaker(self, callee: str, of: Callable[[dict[str, Any]], bool], limit: float = LIMIT) -> None:
        """Waits until the condition holds for a breaker around the calls to a service."""
        until(_slowly(lambda: any(of(one) for one in self.breakers(callee))), limit, f"a breaker around {callee}")

    @property
    def registry(self) -> str:
        """The URL of the registry that the supervisor serves."""
        return f"unix:{DataLayout(self.data).registry}"


def _slowly(check: Callable[[], bool]) -> Callable[[], bool]:
    """Makes a condition that is checked only from time to time, because each check asks every process of a fleet."""

    def checked() -> bool:
        return check() or time.sleep(EVERY) is not None

    return checked
