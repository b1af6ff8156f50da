"""A child process with an end of a way, as the bench sees it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self


class EndProcess:
    """Starts `bench.events.child`, and asks it by lines of JSON; its log is a file in the folder."""

    def __init__(self, folder: Path, way: str, end: str, topic: str, broker: str, databases: str) -> None:
        self._log = folder / f"{topic}-{end}.log"
        self._words = (sys.executable, "-m", "bench.events.child", way, end, topic, broker, databases)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def do(self, what: str, **given: Any) -> Any:
        """Has the child do something, and returns its answer. Raises RuntimeError when it has ended."""
        self.start(what, **given)
        return self._answer()

    def start(self, what: str, **given: Any) -> None:
        """Has the child begin; `ended` gives the answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **given}) + "\n")
        self._process.stdin.flush()

    def ended(self) -> Any:
        """Waits for the answer to `start`."""
        return self._answer()

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._words)} has ended: {self._log.read_text()[-2_000:]}")
        return json.loads(line)
