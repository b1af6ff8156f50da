"""The last policy that was in force, DATA/mesh/policy.yaml, for a control plane that starts with a wrong file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.reading import MeshPolicyRefused
from souk.runtime.data.directory import private
from souk.telemetry.logs import logger

LAST_POLICY = Path("mesh") / "policy.yaml"
"""The file, below a data directory."""

LoadPolicy = Callable[[Path], MeshPolicy]
"""Reads a policy file. Raises MeshPolicyRefused with everything that is wrong with it."""

_log = logger("mesh")


@dataclass(frozen=True, slots=True)
class PolicyAtStart:
    """The policy with which a control plane starts, and its file; `errors` say what is wrong with the file that it was
    to have, if that is why it has the last one."""

    policy: MeshPolicy
    file: Path | None
    errors: tuple[str, ...] = ()


class LastPolicy:
    """The copy of the policy file of one data directory; an empty one means the defaults."""

    def __init__(self, data: Path) -> None:
        self.path = data / LAST_POLICY

    def keep(self, file: Path | None) -> None:
        """Copies the file of a policy that is in force now; None for the defaults. What prevents it is logged."""
        try:
            content = b"" if file is None else file.read_bytes()
            if not self.path.exists() or self.path.read_bytes() != content:
                private(self.path.parent)
                private_files.replace(self.path, content)
        except (OSError, ConfigurationError) as error:
            _log.warning("the policy in force cannot be kept for the next start", why=str(error))

    def at_start(self, file: Path | None, load: LoadPolicy, defaults: Callable[[], MeshPolicy]) -> PolicyAtStart:
        """Reads the policy to start with, and keeps it; if its file is wrong, the last one that was in force.

        Raises MeshPolicyRefused about the file if there is no last one, or it does not fit the services any more.
        """
        try:
            found = PolicyAtStart(defaults() if file is None else load(file), file)
        except MeshPolicyRefused as refused:
            try:
                last = load(self.path)
            except MeshPolicyRefused:
                raise refused from None
            errors = tuple(str(refused).splitlines())
            _log.error("the policy file is wrong; the last policy stays in force", errors=errors, last=str(self.path))
            return PolicyAtStart(last, self.path, errors)
        self.keep(file)
        return found
