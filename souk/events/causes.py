"""Why an event is parked, and where in the code its handler failed, so that events with one cause can be told."""

import hashlib
import sys
import traceback
from dataclasses import dataclass
from types import FrameType

_DIGITS = 8
_LONGEST = 200
_PLATFORM = __name__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Cause:
    """The `reason` that an event is parked. `digest` is the same for all that failed in one way at one place.

    `location` is the last line of ours that failed, as "module:line". Both are empty if no handler of ours failed.
    """

    reason: str
    digest: str = ""
    location: str = ""


def where_failed(error: BaseException) -> tuple[str, str]:
    """Returns the digest and the location of an error: nothing of its text, which may hold personal data.

    Lines of the standard library and of other libraries do not count: only those of the platform, and of the first
    package that it calls.
    """
    lines = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = {_PLATFORM, _first_called([frame for frame, _ in lines])}
    passed = [(_module(frame), frame.f_code.co_name, line) for frame, line in lines if _package(frame) in ours]
    kind = type(error)
    parts = [f"{kind.__module__}.{kind.__qualname__}", *(f"{module}:{name}:{line}" for module, name, line in passed)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]
    return digest, f"{passed[-1][0]}:{passed[-1][2]}"[-_LONGEST:] if passed else ""


def _first_called(frames: list[FrameType]) -> str:
    for package in map(_package, frames):
        if package != _PLATFORM and package not in sys.stdlib_module_names:
            return package
    return _PLATFORM


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _package(frame: FrameType) -> str:
    return _module(frame).partition(".")[0]
