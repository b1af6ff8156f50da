"""Containers of runc in namespaces of their own, on a bridge that only this namespace has."""

import json
import subprocess
import time
from pathlib import Path

from souk.testing.engines import PATIENCE

PREFIX = "10.99.0"
BRIDGE = "02:00:00:00:00:01"
"""Its hardware address: one that is not set changes with each pod that goes, and the others would not know."""
HOST = f"{PREFIX}.1"
"""The address of this side of the bridge, where the name server and PostgreSQL are."""
ANOTHER = f"{PREFIX}.2"
"""Another address of this side, for clients that are to be others."""


ALONE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Stands before a command: it ends with the process that has started it, all that it starts ends with it, and what it
mounts is mounted for nobody else."""


def call(*command: str, given: str = "") -> str:
    """Runs a command; returns its output. Raises an error with what it wrote if it fails."""
    done = subprocess.run(command, text=True, capture_output=True, check=False, input=given)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def make_bridge() -> None:
    """Makes the bridge in this network namespace, which must be a new one."""
    for words in (
        "link set lo up",
        f"link add pods address {BRIDGE} type bridge",
        f"addr add {HOST}/24 dev pods",
        f"addr add {ANOTHER}/24 dev pods",
        "link set pods up",
    ):
        call("ip", *words.split())


class Container:
    """A container with an address on the bridge. Its output is in a file."""

    def __init__(self, name: str, bundle: Path, number: int, state: Path) -> None:
        self.name, self.address = name, f"{PREFIX}.{number}"
        self.output = bundle / "log"
        self._number, self._bundle = number, bundle
        self._runc = ("runc", "--root", str(state))

    def start(self) -> None:
        """Makes the container, gives it its address, and starts its process."""
        pid_file = self._bundle / "pid"
        with self.output.open("wb") as log:
            command = (*self._runc, "create", "--bundle", str(self._bundle), "--pid-file", str(pid_file), self.name)
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        assert done.returncode == 0, self.log()
        pid = pid_file.read_text()
        link = f"pod{self._number}"
        call("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        call("ip", "link", "set", link, "master", "pods", "up")
        inside = ("nsenter", "--net", "--target", pid, "ip")
        call(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            call(*inside, "link", "set", device, "up")
        call(*self._runc, "start", self.name)

    def run(self, *command: str, given: str = "") -> str:
        """Runs a command in it, as `kubectl exec` does."""
        return call(*self._runc, "exec", self.name, *command, given=given)

    def status(self) -> str:
        """Says whether it is running or stopped."""
        return str(json.loads(call(*self._runc, "state", self.name))["status"])

    def await_end(self) -> None:
        """Waits until its process has ended."""
        ends = time.monotonic() + PATIENCE
        while self.status() != "stopped":
            assert time.monotonic() < ends, f"{self.name} does not end: {self.log()}"
            time.sleep(0.1)

    def end(self) -> None:
        """Asks its process to end, as a kubelet does, and waits until it has."""
        call(*self._runc, "kill", self.name, "TERM")
        self.await_end()

    def remove(self) -> None:
        """Removes it, whatever its process does."""
        subprocess.run((*self._runc, "delete", "--force", self.name), capture_output=True, check=False)

    def log(self) -> str:
        """Gives the end of its output."""
        return self.output.read_text(errors="replace")[-3_000:]


def remove_containers(state: Path) -> None:
    """Removes what containers leave whose processes were killed: their control groups."""
    for one in state.iterdir() if state.exists() else ():
        command = ("runc", "--root", str(state), "delete", "--force", one.name)
        subprocess.run(command, capture_output=True, check=False)
