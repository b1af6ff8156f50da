"""How a server of Java is started for tests: with little memory, and soon."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from souk.testing.engines import engine_path
from souk.testing.servers.engine_server import EngineServer


class JavaServer(EngineServer):
    """A server out of the jars of the engine of its name.

    Most of its start is the loading of classes. The first `stop` on a machine leaves them in an archive beside the
    jars, which halves what later starts cost; Java itself ignores an archive that does not suit it.
    """

    heap: ClassVar[str]
    main: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._jars = Path(engine_path(self.name))
        self._archive = self._jars.parent / "classes.jsa"
        self._recorded = self._archive.with_name(f"classes-{os.getpid()}-{id(self)}.jsa")

    @abstractmethod
    def arguments(self) -> Sequence[str]:
        """Gives what follows the name of the class in the command."""

    def options(self) -> Sequence[str]:
        """Gives the options that the server needs of Java."""
        return ()

    def command(self) -> Sequence[str]:
        found = self._archive.exists()
        archive = f"-XX:SharedArchiveFile={self._archive}" if found else f"-XX:ArchiveClassesAtExit={self._recorded}"
        return (*self.java(archive, *self.options()), self.main, *self.arguments())

    def java(self, *options: str) -> Sequence[str]:
        """Makes the command up to the name of the class."""
        return (
            str(self._jars.parent / "jdk" / "bin" / "java"),
            *("-Xms" + self.heap, "-Xmx" + self.heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-XX:-UsePerfData", f"-Djava.io.tmpdir={self.folder}", "-Djava.net.preferIPv4Stack=true", *options),
            *("-cp", f"{self._jars}/*"),
        )

    async def stop(self) -> None:
        ended = await self.asked_to_end()
        self.kill()
        if ended and self._recorded.exists():
            self._recorded.replace(self._archive)
        self._recorded.unlink(missing_ok=True)
