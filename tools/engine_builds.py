"""The kinds of engines that are built or put together from manifests in engines/<name>/."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine_kinds import BuildFailed, Engine, LeftOut, last_lines, needed, run

ENGINES = Path(__file__).resolve().parent.parent / "engines"


def _jdks() -> Iterator[Path]:
    """Gives the homes of the Java development kits of this machine: those that were chosen first."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    yield from sorted(Path("/usr/lib/jvm").glob("*"))


def find_jdk(at_least: int) -> Path:
    """Finds a Java development kit of that version or a later one. Raises LeftOut when there is none."""
    for home in _jdks():
        release = home / "release"
        found = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE) if release.exists() else None
        if found and int(found[1]) >= at_least and (home / "bin" / "javac").exists():
            return home
    raise LeftOut(f"needs Java {at_least} or later, with its compiler")


@dataclass(frozen=True)
class Built(Engine):
    """A program that is built from the manifests in engines/<name>/."""

    pinned: str = ""
    """A regular expression whose group is the version in the manifest."""
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
    """The main package of a Go module that the module in engines/<name>/ requires; or that module's own, `.`."""

    package: str = ""

    @property
    def programs(self) -> Mapping[str, str]:
        """The packages that are built, by the names of their programs."""
        return {self.file: self.package}

    @property
    def linked(self) -> str:
        """What the linker is given."""
        return ""

    def bring(self, folder: Path) -> None:
        needed("go", "a Go toolchain builds it")
        try:
            run("go", "list", "-deps", "-f", "{{.Name}}", *self.programs.values(), cwd=self.sources)
        except subprocess.CalledProcessError as error:
            raise LeftOut(f"its modules cannot be had: {last_lines(error)}") from error
        flags = ("-trimpath", f"-ldflags={self.linked}")
        try:
            for file, package in self.programs.items():
                run("go", "build", *flags, "-o", str(folder / file), package, cwd=self.sources)
        except subprocess.CalledProcessError as error:
            raise BuildFailed(last_lines(error)) from error


@dataclass(frozen=True)
class GoPrograms(GoProgram):
    """Several main packages of one module, below `package`. `file` is the program of one; the others lie beside it."""

    commands: tuple[str, ...] = ()
    """The paths of the packages below `package`; a program has the last word of its package's."""

    @property
    def programs(self) -> Mapping[str, str]:
        return {path.rpartition("/")[2]: f"{self.package}/{path}" for path in self.commands}

    def found(self) -> Path | None:
        return super().found() if all((self.destination / name).exists() for name in self.programs) else None


@dataclass(frozen=True)
class Kubernetes(GoPrograms):
    """The programs of Kubernetes' control plane, and kubectl.

    They learn their version from the linker, and refuse to speak of themselves as 0.0.0.
    """

    @property
    def linked(self) -> str:
        number = self.version.rpartition("-")[0]
        major, minor, _ = number.split(".")
        packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        values = {"gitVersion": f"v{number}", "gitMajor": major, "gitMinor": minor}
        words = (f"-X {package}.{name}={value}" for package in packages for name, value in values.items())
        return f"-s -w {' '.join(words)}"


@dataclass(frozen=True)
class GoModuleFiles(Built):
    """A folder of a Go module, such as its definitions for Kubernetes; nothing is built."""

    module: str = ""

    def bring(self, folder: Path) -> None:
        needed("go", "Go fetches it")
        try:
            found = json.loads(run("go", "mod", "download", "-json", self.module, cwd=self.sources))
        except subprocess.CalledProcessError as error:
            raise LeftOut(f"its module cannot be had: {last_lines(error)}") from error
        shutil.copytree(Path(found["Dir"]) / self.file, folder / self.file, copy_function=shutil.copyfile)


@dataclass(frozen=True)
class FromMaven(Built):
    """A program of Java that Maven builds."""

    def package(self, folder: Path, jdk: Path | None = None) -> Path:
        """Builds a copy of the sources beside `folder`, since Maven writes beside them; returns what it built."""
        needed("mvn", "Maven builds it")
        sources = folder.parent / "sources"
        shutil.copytree(self.sources, sources)
        java = ("env", f"JAVA_HOME={jdk}") if jdk else ()
        try:
            run(*java, "mvn", "-q", "-B", "-DskipTests", "package", cwd=sources)
        except subprocess.CalledProcessError as error:
            if re.search(r"Could not (resolve|find|transfer)|Unknown host|cannot be resolved", error.stdout):
                raise LeftOut(f"its artifacts cannot be had: {last_lines(error)}") from error
            raise BuildFailed(last_lines(error)) from error
        return sources / "target"


@dataclass(frozen=True)
class MavenProgram(FromMaven):
    """An executable jar."""

    def bring(self, folder: Path) -> None:
        needed("java", "Java 17 runs it")
        shutil.move(self.package(folder) / self.file, folder / self.file)


@dataclass(frozen=True)
class MavenClassPath(FromMaven):
    """What the build puts into target/engine, jars above all; `jdk` beside it is the Java that it was built with."""

    java: int = 17

    def found(self) -> Path | None:
        return super().found() if (self.destination / "jdk" / "bin" / "java").exists() else None

    def bring(self, folder: Path) -> None:
        jdk = find_jdk(self.java)
        for part in (self.package(folder, jdk) / "engine").iterdir():
            shutil.move(part, folder / part.name)
        (folder / "jdk").symlink_to(jdk)


@dataclass(frozen=True)
class PythonProgram(Built):
    """A program of Python, run as `python -m`, in an environment of its own, as what it requires does not suit ours."""

    def bring(self, folder: Path) -> None:
        try:
            venv.create(folder, with_pip=False)
            pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps")
            run(*pip, "--quiet", "--disable-pip-version-check", "-r", str(self.sources / "requirements.txt"))
        except subprocess.CalledProcessError as error:
            raise LeftOut(f"its packages cannot be had: {last_lines(error)}") from error
