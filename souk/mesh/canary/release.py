"""What an operator releases as a canary: a version of a service, how it is run, and who meets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRelease:
    """A version of a service beside the one that is there, the baseline.

    `run` is the command line of the version; without one, that of the baseline with SOUK_VERSION set. `settings` are
    added to its environment. Requests with `header` (a name and a value), and those of the user with the id `user`,
    meet the version whatever its share is.
    """

    service: str
    version: str
    instances: int = 1
    run: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    header: tuple[str, str] | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class CanaryShare:
    """How many of the service's calls the version is to get: `percent` of them, 0 to 100.

    With `mirrored`, it gets instead a copy of each call that the contract calls safe, and no caller gets its answers.
    """

    percent: float
    mirrored: bool = False
