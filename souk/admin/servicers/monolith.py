"""Serves the control contracts for a system of one process: commands can inspect it, but not stop or scale parts."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NoReturn

from souk.admin.applications import Applications
from souk.admin.process_status import NO_LOG, READY, SYSTEM, ProcessView, View
from souk.admin.servicers import accounts, fault_points, parked_work, projections, records, sagas
from souk.admin.servicers import fleet as fleet_servicer
from souk.admin.servicers import process as process_servicer
from souk.admin.servicers.accounts import ProcessAccounts
from souk.admin.servicers.fleet import FleetControl, controlled
from souk.admin.servicers.parked_work import ProcessParkedWork
from souk.admin.servicers.process import Inspected, inspecting, points_of
from souk.admin.servicers.projections import ProcessProjections
from souk.admin.servicers.records import ProcessRecords
from souk.admin.servicers.sagas import ProcessSagas
from souk.admin.unix_socket import serving
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.layout import DataLayout
from souk.telemetry.logs import logger


class OneProcess:
    """Stands for a supervisor in a system of one process. `control` is its socket, `log` its log file or None."""

    def __init__(self, inspected: Inspected, address: str, control: Path, log: Path | None) -> None:
        self._view = ProcessView(
            service=inspected.service,
            instance=inspected.instance,
            kind=SYSTEM,
            state=READY,
            pid=os.getpid(),
            address=address,
            restarts=0,
            started_at=inspected.clock.now(),
            control=str(control),
            log=log or NO_LOG,
            why="",
        )

    def processes(self) -> Sequence[View]:
        """Gives the one process."""
        return (self._view,)

    async def scale(self, service: str, replicas: int) -> None:
        """Refuses: raises ConfigurationError."""
        self._refuse()

    async def restart(self, service: str, progress: Callable[[str], None]) -> None:
        """Refuses: raises ConfigurationError."""
        self._refuse()

    async def stop(self, service: str) -> None:
        """Refuses: raises ConfigurationError."""
        self._refuse()

    async def start(self, service: str) -> None:
        """Refuses: raises ConfigurationError."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigurationError(
            "this system is one process, which is stopped and started as a whole; "
            "`souk up --topology fleet` gives each service its own"
        )


@asynccontextmanager
async def controlling_system(
    data: Path, inspected: Inspected, address: str, log: Path | None, applications: Applications | None = None
) -> AsyncIterator[None]:
    """Lets the owner of a data directory inspect the system that is this process, inside the block.

    The system takes requests at `address`, and logs to the file `log` if there is one; `applications` may join it.
    If no socket can be made, the system goes on without one, and a warning is logged.
    """
    layout = _layout(data)
    async with AsyncExitStack() as stack:
        try:
            layout.prepare_run_of_one()
            stack.callback(layout.forget_sockets)
            one = OneProcess(inspected, address, layout.control, log)
            fleet = await stack.enter_async_context(controlled(one, applications))
            await _serve(layout.control, inspected, fleet, stack)
        except (ConfigurationError, OSError) as error:
            logger("control").warning("no command can see this system", reason=str(error))
        yield


async def _serve(path: Path, inspected: Inspected, fleet: FleetControl, stack: AsyncExitStack) -> None:
    process = await stack.enter_async_context(inspecting(inspected))
    servicers = {
        fleet_servicer.CONTRACT: fleet,
        process_servicer.CONTRACT: process,
        projections.CONTRACT: ProcessProjections(inspected.rebuilds, inspected.clock),
        sagas.CONTRACT: ProcessSagas(inspected.sagas),
        parked_work.CONTRACT: ProcessParkedWork(inspected.databases, inspected.at_broker),
        accounts.CONTRACT: ProcessAccounts(inspected.databases, inspected.accounts),
        records.CONTRACT: ProcessRecords(inspected.databases, inspected.records),
        fault_points.CONTRACT: points_of(inspected),
    }
    await stack.enter_async_context(serving(path, servicers, inspected.clock))


def _layout(data: Path) -> DataLayout:
    return DataLayout(data.resolve())
