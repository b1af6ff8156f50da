"""Where a fleet keeps its files, below its data directory: for the supervisor and for the commands that reach it.

DATA/fleet/processes.json     which processes were started, for the next start after a crash
DATA/fleet/credentials.json   passwords of database roles
DATA/run/*.sock               sockets: registry, control, one for each process
DATA/run/where                names another folder for the sockets, if DATA is too long for a socket's path
DATA/logs/order-2.log         the log of each process
DATA/mesh/sidecars/order-2.json   how its sidecar begins
DATA/postgres, DATA/valkey    the engines; DATA/bus is the Valkey that events go through
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from souk.kernel import private_files
from souk.runtime.data.directory import make


@dataclass(frozen=True, slots=True)
class SidecarPaths:
    """The sockets of a sidecar, for its application, for other sidecars and for operators, and its bootstrap file."""

    outbound: Path
    inbound: Path
    admin: Path
    bootstrap: Path


LONGEST_SOCKET = 100
"""Bytes that the path of a socket may have; Linux takes 107."""
LONGEST_NAME = 40
"""Bytes left for the name of a socket in its folder."""


@dataclass(frozen=True, slots=True)
class DataLayout:
    """The paths below one data directory, whose own path must be absolute."""

    data: Path

    @property
    def run(self) -> Path:
        """The private folder for sockets."""
        return self.data / "run"

    def run_folder(self) -> Path:
        """Gives the folder that the sockets are in: `run`, or the one that `run/where` names."""
        try:
            return Path((self.run / "where").read_text().strip())
        except OSError:
            return self.run

    @property
    def control(self) -> Path:
        """The supervisor's control socket."""
        return self.run_folder() / "control.sock"

    @property
    def registry(self) -> Path:
        """The socket of the registry that the supervisor serves."""
        return self.run_folder() / "registry.sock"

    def of(self, instance: str) -> Path:
        """Gives the path of a process's control socket."""
        return self.run_folder() / f"{instance}.sock"

    @property
    def logs(self) -> Path:
        """The folder of the processes' logs."""
        return self.data / "logs"

    def log(self, instance: str) -> Path:
        """Gives the path of a process's log."""
        return self.logs / f"{instance}.log"

    @property
    def processes(self) -> Path:
        """The file that records which processes were started."""
        return self.data / "fleet" / "processes.json"

    @property
    def credentials(self) -> Path:
        """The file with the passwords of database roles."""
        return self.data / "fleet" / "credentials.json"

    @property
    def postgres(self) -> Path:
        """The data directory of the fleet's own PostgreSQL."""
        return self.data / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's folder."""
        return self.data / "valkey"

    @property
    def valkey_socket(self) -> Path:
        """The socket on which Valkey listens."""
        return (self.valkey if fits(self.valkey) else self.run_folder()) / "valkey.sock"

    @property
    def bus(self) -> Path:
        """The folder of the Valkey that events go through."""
        return self.data / "bus"

    @property
    def bus_socket(self) -> Path:
        """The socket on which that Valkey listens."""
        return (self.bus if fits(self.bus) else self.run_folder()) / "bus.sock"

    @property
    def control_plane(self) -> Path:
        """The socket at which sidecars reach the control plane of the mesh."""
        return self.run_folder() / "mesh.ads.sock"

    def sidecar(self, instance: str) -> SidecarPaths:
        """Gives the paths of the sidecar of an instance."""
        outbound, inbound, admin = (self.run_folder() / f"{instance}.{name}.sock" for name in ("out", "in", "admin"))
        return SidecarPaths(outbound, inbound, admin, self.sidecars / f"{instance}.json")

    @property
    def sidecars(self) -> Path:
        """The folder of the bootstrap files of sidecars."""
        return self.data / "mesh" / "sidecars"

    def prepare(self) -> None:
        """Makes the private folders, and removes the sockets of an earlier run."""
        for folder in (self.logs, self.processes.parent, self.valkey, self.bus, self.sidecars):
            make(folder)
        self.prepare_run()

    def prepare_run_of_one(self) -> None:
        """Makes the folder of sockets for a system of one process, which has two sockets with short names."""
        self.prepare_run(max(len(path.name) for path in (self.control, self.registry)))

    def prepare_run(self, longest_name: int = LONGEST_NAME) -> None:
        """Makes the folder of sockets, a temporary one if `run` is too long, and removes those of an earlier run."""
        make(self.run)
        self.forget_sockets()
        if not fits(self.run, longest_name):
            folder = tempfile.mkdtemp(prefix="souk-run-")
            private_files.replace(self.run / "where", folder.encode(), durable=False)

    def forget_sockets(self) -> None:
        """Removes the sockets, on which no process listens any more, and the temporary folder if there is one."""
        folder = self.run_folder()
        for socket in folder.glob("*.sock"):
            socket.unlink(missing_ok=True)
        if folder != self.run:
            _remove_own(folder)
            (self.run / "where").unlink(missing_ok=True)


def fits(folder: Path, longest_name: int = LONGEST_NAME) -> bool:
    """Tells whether sockets can be bound in a folder, under names of at most `longest_name` bytes."""
    return len(os.fsencode(folder)) + len("/") + longest_name <= LONGEST_SOCKET


def _remove_own(folder: Path) -> None:
    """Removes a folder of sockets that an earlier run made. Another user may have written the file that names it,
    so a folder whose path is not like ours stays."""
    if folder.name.startswith("souk-run-") and folder.parent == Path(tempfile.gettempdir()):
        shutil.rmtree(folder, ignore_errors=True)
