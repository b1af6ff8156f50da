"""Keeps one process of the fleet alive: it is started again whenever it dies.

starting -> ready -> (dies) -> backing off -> starting ...
                  -> (asked) -> draining -> stopped
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from random import Random

from souk.admin.process_status import BACKING_OFF, DRAINING, ENGINE, FAILED, READY, STARTING, STOPPED, ProcessView
from souk.kernel.errors import SoukError
from souk.resilience.backoff import Backoff
from souk.runtime.process.child_process import ChildProcess
from souk.runtime.process.command import Command
from souk.runtime.process.liveness import EVERY, Silence
from souk.supervisor.output.process_log import Journal
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.starting import StartProgress
from souk.telemetry.proc import cpu_seconds

_POLL_EVERY = 0.02
KILLED = 2.0
"""Seconds that a process gets to end after its kill signal."""
_WATCH = 0.5
"""Seconds between two checks of whether a starting process makes progress."""


def _nothing() -> None:
    """Does nothing: there is no turn to give back yet."""


class ManagedProcess:
    """Keeps one process alive, from `start` until `stop`."""

    def __init__(self, spec: ProcessSpec, context: SupervisorContext) -> None:
        self.spec, self._context = spec, context
        self._log = context.log_of(spec.instance)
        self._journal = Journal(self._log, context.log_limits.full, context.log_limits.kept)
        self._restarts = Restarts()
        self._state, self._why, self._address, self._started_at = STARTING, "", "", 0
        self._ready_since = 0.0
        self._child: ChildProcess | None = None
        self._life: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._attempted = asyncio.Event()
        self._progress = StartProgress(context.clock.monotonic())
        self._turn: Callable[[], None] = _nothing

    @property
    def view(self) -> ProcessView:
        """The present state of the process."""
        spec, child = self.spec, self._child
        return ProcessView(
            service=spec.service,
            instance=spec.instance,
            kind=spec.kind,
            state=self._state,
            pid=child.pid if child is not None and child.runs else None,
            address=self._address,
            restarts=self._restarts.count,
            started_at=self._started_at,
            control=spec.control,
            log=self._log,
            why=self._why,
            version=spec.version,
            isolated=spec.network is not None,
            not_isolated=spec.not_isolated,
            egress=() if spec.network is None else tuple(map(str, spec.network.destinations)),
        )

    def start(self) -> None:
        """Keeps a process alive from now on."""
        self._life = asyncio.create_task(self._live(), name=self.spec.instance)

    async def ready(self) -> None:
        """Waits until it takes calls."""
        await self._ready.wait()

    async def attempted(self) -> None:
        """Waits until its first process has taken calls, or died."""
        await self._attempted.wait()

    def idle_for(self) -> float:
        """Gives the seconds since the process last made progress in its start; 0 while it waits for its turn."""
        runs = self._child is not None and self._child.runs
        return self._context.clock.monotonic() - self._progress.at if runs else 0.0

    async def stop(self, limit: float) -> None:
        """Asks the process to end, kills it after `limit` seconds, and starts no other."""
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
        if self._child is not None and self._child.runs:
            await self._drain(self._child, limit)
        self._ready.clear()
        self._set(STOPPED)

    def close(self) -> None:
        """Closes the log; the process is not managed any more."""
        self._journal.close()

    def kill(self) -> None:
        """Sends the process its kill signal, and does not wait for its end."""
        if self._child is not None:
            self._child.send(self.spec.kill_signal)

    async def _drain(self, child: ChildProcess, limit: float) -> None:
        self._set(DRAINING)
        child.send(self.spec.stop_signal)
        try:
            await asyncio.wait_for(child.ended(), limit)
        except TimeoutError:
            await self._kill(child)

    async def _kill(self, child: ChildProcess) -> None:
        """Ends a process by its kill signal, or by SIGKILL if it handles that one and still runs after KILLED."""
        child.send(self.spec.kill_signal)
        try:
            await asyncio.wait_for(child.ended(), KILLED)
        except TimeoutError:
            child.send(signal.SIGKILL)
            await child.ended()

    async def _live(self) -> None:
        while True:
            try:
                state, well_for, why = await self._one_life()
            except (OSError, SoukError) as error:
                state, well_for, why = FAILED, 0.0, str(error)
            self._ready.clear()
            self._attempted.set()
            delay = self._restarts.died(well_for, self._context.random)
            self._set(state, why)
            await asyncio.sleep(delay)

    async def _one_life(self) -> tuple[str, float, str]:
        """Runs the process from a start to a death; returns the state then, how long it took calls, and why it died."""
        self._set(STARTING, self._why)
        self._turn = await self._context.turns.turn()
        try:
            command = await self.spec.command()
            if (network := self.spec.network) is not None:
                command = replace(command, network=await network.descriptor(), files=network.files)
            return await self._until_its_end(command)
        finally:
            self._turn()

    async def _until_its_end(self, command: Command) -> tuple[str, float, str]:
        self._journal.forget()
        longest = inf if self.spec.kind == ENGINE else self._context.longest_start
        self._progress = StartProgress(self._context.clock.monotonic(), longest)
        self._ready_since = 0.0
        child = self._child = ChildProcess.start(command, self._on_lines, self.spec.stop_signal)
        self._started_at = self._context.clock.now()
        await self._keep_record(child, command)
        ended = asyncio.ensure_future(child.ended())
        polling = asyncio.ensure_future(self._poll(child))
        try:
            why = await self._given_up(child, ended) or await self._hung(child, ended)
            if why:
                await self._kill(child)
            status = await ended
        finally:
            polling.cancel()
        return BACKING_OFF, self._well_for(), why or self._reason(status)

    async def _given_up(self, child: ChildProcess, ended: "asyncio.Future[int]") -> str:
        """Watches a start until the process is ready or has ended; returns why it is given up, or "" if it is not."""
        while not self._ready.is_set() and child.runs:
            now = self._context.clock.monotonic()
            self._progress.worked(cpu_seconds(child.pid), now)
            if why := self._progress.given_up(now):
                return why
            await asyncio.wait({ended}, timeout=_WATCH)
        return ""

    async def _hung(self, child: ChildProcess, ended: "asyncio.Future[int]") -> str:
        """Watches a ready process until it has ended; returns why it is given up before, or ""."""
        alive, clock = self.spec.alive, self._context.clock
        silence = Silence(clock.monotonic())
        while alive is not None and child.runs:
            await asyncio.wait({ended}, timeout=EVERY)
            if await alive():
                silence.answered(clock.monotonic())
            elif child.runs and (why := silence.given_up(clock.monotonic(), cpu_seconds(child.pid))):
                return why
        return ""

    async def _keep_record(self, child: ChildProcess, command: Command) -> None:
        """Records a started process. If that fails, it kills the process and raises OSError."""
        record, spec = self._context.record, self.spec
        try:
            record.add(spec.instance, spec.kind, spec.stop_signal, child.pid, command.words)
        except OSError as error:
            await self._kill(child)
            raise OSError(f"its start cannot be recorded: {(error.strerror or str(error)).lower()}") from error
        child.when_ended(lambda: record.remove(child.pid))

    async def _poll(self, child: ChildProcess) -> None:
        while not self._ready.is_set():
            address = self.spec.readiness.poll(child.pid)
            if address is not None:
                self._is_ready(address)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _POLL_EVERY)

    def _on_lines(self, lines: list[bytes]) -> None:
        self._journal.write(lines)
        self._progress.made(self._context.clock.monotonic())
        matched = [(line, self.spec.readiness.on_line(line)) for line in lines]
        # The line that says that it is ready is not shown: its state shows that.
        shown = self.spec.shown([line for line, address in matched if address is None])
        if shown:
            self._context.on_output(self.spec.instance, shown)
        if not self._ready.is_set() and self._life is not None:
            address = next((address for _, address in matched if address is not None), None)
            if address is not None:
                self._is_ready(address)

    def _is_ready(self, address: str) -> None:
        self._address, self._ready_since = address, self._context.clock.monotonic()
        self._ready.set()
        self._attempted.set()
        self._turn()
        self._set(READY)

    def _well_for(self) -> float:
        return self._context.clock.monotonic() - self._ready_since if self._ready_since else 0.0

    def _reason(self, status: int) -> str:
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return self._journal.last_line() or f"ended with status {status}"

    def _set(self, state: str, why: str = "") -> None:
        if state not in {READY, DRAINING}:
            self._address = ""
        self._state, self._why = state, why
        self._context.on_state(self.view)


BACKOFF = Backoff(initial=0.1, cap=10.0, factor=2.0, jitter=0.2)
WELL = 30.0
"""Seconds of taking calls after which a process is well, and its earlier deaths in a row are forgotten."""


@dataclass(slots=True)
class Restarts:
    """The deaths of a managed process: `count` in all, `in_a_row` since it was last well."""

    count: int = 0
    in_a_row: int = 0

    def died(self, well_for: float, random: Random) -> float:
        """Counts a death, and gives the seconds to wait after it. `well_for` is how many seconds the process took calls
        before; 0 if it never did."""
        self.count += 1
        self.in_a_row = 1 if well_for >= WELL else self.in_a_row + 1
        return BACKOFF.delay(self.in_a_row, random)
