"""Real engines for tests: brings them here, and says where they are.

    python tools/engines.py install          brings those that are not here yet
    python tools/engines.py list             what there is, and what is not, and why
    python tools/engines.py path NAME        where an engine is; fails with the reason when it is not here

engines/README.md describes them. What is fetched or built lies outside the checkout, in
${XDG_CACHE_HOME:-~/.cache}/souk/engines/<name>-<version>; a build that fails leaves nothing there but its reason.
An engine that cannot be had here, because a tool is missing or a registry cannot be reached, is left out;
one whose build fails otherwise makes `install` fail.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

ENGINES = Path(__file__).resolve().parent.parent / "engines"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "souk" / "engines"


class LeftOut(Exception):
    """The engine cannot be had on this machine; the message says why."""


class BuildFailed(Exception):
    """The engine could be had, and its build is broken; the message says where."""


def run(*command: str, cwd: Path | None = None) -> str:
    """The output of a command, which yields to whatever else runs. Raises CalledProcessError with all that was said."""
    return subprocess.run(
        ("nice", *command), cwd=cwd, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ).stdout


def needed(tool: str, hint: str) -> None:
    """Raises LeftOut when a tool is not on the path."""
    if shutil.which(tool) is None:
        raise LeftOut(f"needs {tool}, which is not on the path ({hint})")


def last_lines(error: subprocess.CalledProcessError) -> str:
    """What a failed command said last, in a line."""
    said = [line.strip() for line in error.stdout.splitlines() if line.strip()]
    return f"{' '.join(error.cmd[1:3])}: {' | '.join(said[-3:])[:600]}"


@dataclass(frozen=True)
class Engine(ABC):
    """One engine; `takes` says what it costs to bring it."""

    name: str
    file: str
    takes: str

    @property
    @abstractmethod
    def version(self) -> str:
        """The version that is brought, and what changes when it must be brought anew."""

    @abstractmethod
    def bring(self, folder: Path) -> None:
        """Puts `file` into an empty folder."""

    @property
    def place(self) -> Path:
        return CACHE / f"{self.name}-{self.version}"

    @property
    def _why(self) -> Path:
        return CACHE / f"{self.name}.why"

    def found(self) -> Path | None:
        """Where it is, if it is here."""
        path = self.place / self.file
        return path if path.exists() else None

    def why_not(self) -> str:
        """Why it is not here."""
        reason = self._why.read_text() if self._why.exists() else "not installed yet"
        return f"{self.name}: {reason} (make test-engines installs it)"

    def install(self) -> Path:
        """Brings it; another one that does so at the same time does no harm."""
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
            if self.place.exists():
                shutil.rmtree(self.place)
            os.replace(folder, self.place)
        return self.place / self.file


@dataclass(frozen=True)
class Debian(Engine):
    """A program out of a Debian package: the system's, if it is installed, and else the file alone, so that
    nothing is started and nobody needs to be root."""

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
            run("dpkg-deb", "-x", *(str(file) for file in folder.glob("*.deb")), str(folder))
        except subprocess.CalledProcessError as error:
            raise LeftOut(last_lines(error)) from error

    def _download(self, folder: Path) -> None:
        try:
            run("apt-get", "download", self.package, cwd=folder)
        except subprocess.CalledProcessError:
            if os.geteuid() != 0:
                raise
            run("apt-get", "update")  # a new machine has no lists of packages
            run("apt-get", "download", self.package, cwd=folder)


@dataclass(frozen=True)
class DebianInstalled(Debian):
    """A program whose package brings libraries along and starts nothing: installed, by root."""

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
    """A program whose package would start a service: its file alone, and its libraries installed, by root."""

    libraries: tuple[str, ...] = ()

    def bring(self, folder: Path) -> None:
        super().bring(folder)
        try:
            run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *self.libraries)
        except subprocess.CalledProcessError as error:
            raise LeftOut(f"as root: apt-get install {' '.join(self.libraries)} ({last_lines(error)})") from error


@dataclass(frozen=True)
class Built(Engine):
    """A program that is built from the manifests in engines/<name>/."""

    pinned: str = ""
    """Finds the version in the manifest."""
    manifest: str = ""

    @property
    def sources(self) -> Path:
        return ENGINES / self.name

    @property
    def version(self) -> str:
        found = re.search(self.pinned, (self.sources / self.manifest).read_text())
        assert found is not None, f"{self.manifest} pins no version"
        digest = hashlib.sha256()
        for file in sorted(path for path in self.sources.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(self.sources)}\n".encode() + file.read_bytes())
        return f"{found[1]}-{digest.hexdigest()[:8]}"


@dataclass(frozen=True)
class GoProgram(Built):
    """The main package of a Go module that ours requires."""

    package: str = ""

    def bring(self, folder: Path) -> None:
        needed("go", "a Go toolchain builds it")
        try:
            run("go", "list", "-deps", "-f", "{{.Name}}", self.package, cwd=self.sources)
        except subprocess.CalledProcessError as error:
            raise LeftOut(f"its modules cannot be had: {last_lines(error)}") from error
        try:
            run("go", "build", "-trimpath", "-o", str(folder / self.file), self.package, cwd=self.sources)
        except subprocess.CalledProcessError as error:
            raise BuildFailed(last_lines(error)) from error


@dataclass(frozen=True)
class MavenProgram(Built):
    """An executable jar."""

    def bring(self, folder: Path) -> None:
        needed("mvn", "Maven builds it")
        needed("java", "Java 17 runs it")
        sources = folder.parent / "sources"
        shutil.copytree(self.sources, sources)  # Maven writes beside the sources
        try:
            run("mvn", "-q", "-B", "-DskipTests", "package", cwd=sources)
        except subprocess.CalledProcessError as error:
            if re.search(r"Could not (resolve|find|transfer)|Unknown host|cannot be resolved", error.stdout):
                raise LeftOut(f"its artifacts cannot be had: {last_lines(error)}") from error
            raise BuildFailed(last_lines(error)) from error
        shutil.move(sources / "target" / self.file, folder / self.file)


ALL: tuple[Engine, ...] = (
    Debian("etcd", "usr/bin/etcd", "seconds", package="etcd-server"),
    DebianInstalled("dnsmasq", "dnsmasq", "seconds", package="dnsmasq-base"),
    DebianOnLibraries(
        "pgbouncer", "usr/sbin/pgbouncer", "seconds", package="pgbouncer", libraries=("libc-ares2", "libevent-2.1-7")
    ),
    MavenProgram("eureka", "eureka.jar", "a minute", r"<spring-cloud.version>([0-9.]+)<", "pom.xml"),
    GoProgram(
        "consul",
        "consul",
        "some 5 minutes",
        r"require github.com/hashicorp/consul v([0-9.]+)",
        "go.mod",
        "github.com/hashicorp/consul",
    ),
    GoProgram(
        "connectconformance",
        "connectconformance",
        "a minute",
        r"require connectrpc.com/conformance v([0-9.]+)",
        "go.mod",
        "connectrpc.com/conformance/cmd/connectconformance",
    ),
)


def install() -> int:
    """Brings what is not here; the exit status."""
    status = 0
    for engine in ALL:
        began = time.monotonic()
        if engine.found():
            continue
        print(f"       {engine.name}: bringing it ({engine.takes}, once)", flush=True)
        try:
            engine.install()
            said = f"ok     {engine.name}"
        except LeftOut as reason:
            said = f"LEFT OUT {engine.name}: {reason}"
        except BuildFailed as reason:
            said, status = f"FAILED {engine.name}: {reason}", 1
        print(f"{said} ({time.monotonic() - began:.0f} s)", flush=True)
    return status


def show() -> int:
    """Prints all of them; the exit status."""
    for engine in ALL:
        path = engine.found()
        print(f"{engine.name:8} {engine.version:18} {path or engine.why_not()}")
    return 0


def locate(name: str) -> int:
    """Prints where an engine is; the exit status."""
    engine = next((one for one in ALL if one.name == name), None)
    if engine is None:
        print(f"there is no engine {name!r}: {', '.join(one.name for one in ALL)}", file=sys.stderr)
        return 2
    path = engine.found()
    print(path or engine.why_not(), file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


def main() -> int:
    """Returns the exit status."""
    match sys.argv[1:]:
        case ["install"]:
            return install()
        case ["list"]:
            return show()
        case ["path", name]:
            return locate(name)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
