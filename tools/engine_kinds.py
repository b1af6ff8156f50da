"""The kinds of engines that tests use and Debian has, and how an engine of each kind is installed on this machine."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "souk" / "engines"


class LeftOut(Exception):
    """The engine cannot be installed on this machine; the message says why."""


class BuildFailed(Exception):
    """The engine's sources are available, but its build fails; the message says where."""


def run(*command: str, cwd: Path | None = None) -> str:
    """Runs a command at low priority; returns its output. Raises CalledProcessError, which holds the output."""
    return subprocess.run(
        ("nice", *command), cwd=cwd, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ).stdout


def needed(tool: str, hint: str) -> None:
    """Checks for a tool. Raises LeftOut when it is not on the path."""
    if shutil.which(tool) is None:
        raise LeftOut(f"needs {tool}, which is not on the path ({hint})")


def last_lines(error: subprocess.CalledProcessError) -> str:
    """Gives the last lines of a failed command's output, as one line."""
    lines = [line.strip() for line in error.stdout.splitlines() if line.strip()]
    return f"{' '.join(error.cmd[1:3])}: {' | '.join(lines[-3:])[:600]}"


@dataclass(frozen=True)
class Engine(ABC):
    """One engine; `file` is its path in its folder, and `takes` says how long its installation takes.

    One that is `on_request` is installed only by its name: it takes long, and `make test-engines` does without.
    """

    name: str
    file: str
    takes: str
    on_request: bool = field(default=False, kw_only=True)

    @property
    @abstractmethod
    def version(self) -> str:
        """The version that is installed; when it changes, the engine is installed anew."""

    @abstractmethod
    def bring(self, folder: Path) -> None:
        """Puts `file` into an empty folder."""

    @property
    def destination(self) -> Path:
        return CACHE / f"{self.name}-{self.version}"

    @property
    def _why(self) -> Path:
        return CACHE / f"{self.name}.why"

    def found(self) -> Path | None:
        """Gives the path of the engine, or None if it is not installed."""
        path = self.destination / self.file
        return path if path.exists() else None

    def why_not(self) -> str:
        """Gives the reason why the engine is not installed."""
        reason = self._why.read_text() if self._why.exists() else "not installed yet"
        by = f"`python tools/engines.py install {self.name}`" if self.on_request else "make test-engines"
        return f"{self.name}: {reason} ({by} installs it)"

    def install(self) -> Path:
        """Installs the engine, and returns its path. Several processes may do so at the same time.

        Raises LeftOut or BuildFailed.
        """
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{self.name}-") as aside:
            folder = Path(aside) / "done"
            folder.mkdir()
            try:
                self.bring(folder)
            except (LeftOut, BuildFailed) as error:
                self._why.write_text(str(error))
                raise
            self._why.unlink(missing_ok=True)
            if self.destination.exists():
                shutil.rmtree(self.destination)
            os.replace(folder, self.destination)
        return self.destination / self.file


@dataclass(frozen=True)
class Debian(Engine):
    """A program of a Debian package: the system's if it is installed, else only the file out of the package, so that
    no service is started and root is not needed."""

    package: str = ""

    @property
    def version(self) -> str:
        return "debian"

    def found(self) -> Path | None:
        there = shutil.which(Path(self.file).name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        return Path(there) if there else super().found()

    def bring(self, folder: Path) -> None:
        needed("apt-get", f"on Debian, the package {self.package} has it")
        try:
            self._download(folder)
            for package in folder.glob("*.deb"):
                run("dpkg-deb", "-x", str(package), str(folder))
                package.unlink()
        except subprocess.CalledProcessError as error:
            raise LeftOut(last_lines(error)) from error

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages whose files are taken."""
        return (self.package,)

    def _download(self, folder: Path) -> None:
        try:
            run("apt-get", "download", *self.packages, cwd=folder)
        except subprocess.CalledProcessError:
            if os.geteuid() != 0:
                raise
            run("apt-get", "update")  # a new machine has no lists of packages
            run("apt-get", "download", *self.packages, cwd=folder)


@dataclass(frozen=True)
class DebianInstalled(Debian):
    """A program whose package needs libraries and starts no service: root installs the package."""

    def install(self) -> Path:
        if os.geteuid() != 0:
            raise LeftOut(f"as root: apt-get install {self.package}")
        command = ("apt-get", "install", "-y", "--no-install-recommends", self.package)
        try:
            try:
                run("env", "DEBIAN_FRONTEND=noninteractive", *command)
            except subprocess.CalledProcessError:
                run("apt-get", "update")
                run("env", "DEBIAN_FRONTEND=noninteractive", *command)
        except subprocess.CalledProcessError as error:
            raise LeftOut(last_lines(error)) from error
        path = self.found()
        if path is None:
            raise BuildFailed(f"{self.package} is installed and {self.file} is not on the path")
        return path


@dataclass(frozen=True)
class DebianOnLibraries(Debian):
    """A program whose package would start a service: only its file is taken, and root installs its libraries."""

    libraries: tuple[str, ...] = ()

    def bring(self, folder: Path) -> None:
        super().bring(folder)
        try:
            run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *self.libraries)
        except subprocess.CalledProcessError as error:
            raise LeftOut(f"as root: apt-get install {' '.join(self.libraries)} ({last_lines(error)})") from error


@dataclass(frozen=True)
class DebianOnErlang(Debian):
    """RabbitMQ, whose packages would start a service and a daemon: the files of all of them are taken, never the
    system's, and root is not needed. Erlang is changed to find itself where it lies, and looks for each of its modules
    in every library there is: those that are not wanted are removed, which halves the time to start."""

    erlang: tuple[str, ...] = ()
    """The packages of Erlang, without the prefix of their names."""
    libraries: tuple[str, ...] = ()
    """The libraries, of all those that come with RabbitMQ, that stay."""

    @property
    def version(self) -> str:
        return f"debian-{hashlib.sha256(repr(self).encode()).hexdigest()[:8]}"

    def found(self) -> Path | None:
        return Engine.found(self)

    @property
    def packages(self) -> tuple[str, ...]:
        return (self.package, *(f"erlang-{name}" for name in self.erlang))

    def bring(self, folder: Path) -> None:
        super().bring(folder)
        start = folder / "usr/lib/erlang/bin/erl"
        text = start.read_text()
        if "ROOTDIR=/usr/lib/erlang" not in text:
            raise BuildFailed("erl does not say where Erlang is as it used to")
        start.write_text(text.replace("ROOTDIR=/usr/lib/erlang", 'ROOTDIR=$(realpath "$(dirname "$0")/..")'))
        for library in folder.glob("usr/lib/rabbitmq/lib/*/plugins/*-*"):
            if library.name.rpartition("-")[0] not in self.libraries:
                shutil.rmtree(library)
