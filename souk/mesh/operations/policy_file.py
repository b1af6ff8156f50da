"""The policy file of a running control plane: read again when an operator says so, and taken back if it is rejected."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.mesh.control_plane import ControlPlane
from souk.mesh.exchanges import PolicyRejection
from souk.mesh.operations.last_policy import LastPolicy, LoadPolicy, PolicyAtStart
from souk.mesh.policy.reading import MeshPolicyRefused
from souk.mesh.xds.snapshot import PublishedVersion

PATIENCE = 15.0
"""Seconds for sidecars to take a policy. Those that need longer may still reject it."""
WATCHED_EVERY = 1.0
"""Seconds between two looks at sidecars that have not taken a policy yet."""


@dataclass(frozen=True, slots=True)
class RefusedPolicy:
    """A policy that is not in force: its revision, or 0 if its file is wrong, when, and why."""

    revision: int
    at: int
    errors: tuple[str, ...] = ()
    rejections: tuple[PolicyRejection, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What became of reading the file again: the refusal, or the sidecars that are late with the new policy."""

    changed: bool = False
    refused: RefusedPolicy | None = None
    late: Sequence[str] = field(default=())


class PolicyFile:
    """The file of a control plane's policy, which `load` reads; `path` is None for a fleet without one. `in_force` is
    the file of the policy in force: another one if the control plane has started with the `last` policy.

    A policy that comes into force is kept as the last one.
    """

    def __init__(
        self,
        plane: ControlPlane,
        path: Path | None,
        load: LoadPolicy,
        clock: Clock,
        last: LastPolicy | None = None,
        start: PolicyAtStart | None = None,
    ) -> None:
        self.path = path
        self.in_force = path if start is None else start.file
        self.refused: RefusedPolicy | None = None
        if start is not None and start.errors:
            self.refused = RefusedPolicy(0, clock.now(), start.errors)
        self._plane, self._load, self._clock, self._last = plane, load, clock, last
        self._good, self._good_file = plane.policy.rules, self.in_force
        self._trial: asyncio.Task[None] | None = None
        self._undecided: frozenset[PublishedVersion] = frozenset()
        self._reloading = asyncio.Lock()

    @property
    def is_decided(self) -> bool:
        """Whether no sidecar can reject any more what was read last."""
        return self._trial is None or self._trial.done()

    async def reload(self, patience: float = PATIENCE) -> PolicyChange:
        """Reads and applies the file. All sidecars go back to the last policy that all had taken if one rejects what
        this one changes, also when it is late with it.

        Raises ConfigurationError without a file.
        """
        if self.path is None:
            raise ConfigurationError(
                "this fleet has no policy file to read again; start it with SOUK_MESH_POLICY=FILE to give it one"
            )
        async with self._reloading:
            try:
                policy = await asyncio.to_thread(self._load, self.path)
            except MeshPolicyRefused as refused:
                return self._not_taken(RefusedPolicy(0, self._clock.now(), tuple(str(refused).splitlines())))
            if policy == self._plane.policy.rules:
                if self.is_decided:
                    await self._taken()
                return PolicyChange()
            await self._end_trial()
            changed = self._undecided = self._undecided | self._plane.apply(policy)
            late = await self._plane.settled(patience)
            if taken_back := self._taken_back(changed):
                return PolicyChange(refused=taken_back)
            if self._plane.server.undecided(changed):
                self.refused, self.in_force = None, self.path
                self._trial = asyncio.create_task(self._watch(changed))
            else:
                await self._taken()
            return PolicyChange(changed=True, late=late)

    async def _watch(self, changed: frozenset[PublishedVersion]) -> None:
        """Takes the policy back if a sidecar rejects it that was late, or away; keeps it once none can any more."""
        while not self._taken_back(changed):
            if not self._plane.server.undecided(changed):
                await self._taken()
                return
            await asyncio.sleep(WATCHED_EVERY)

    async def _end_trial(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.cancel()
            await asyncio.gather(trial, return_exceptions=True)

    def _taken_back(self, changed: frozenset[PublishedVersion]) -> RefusedPolicy | None:
        """Has sidecars go back to the last good policy if one has rejected what this one changed."""
        found = self._plane.server.rejected(changed)
        if not found:
            return None
        why = tuple(self._plane.exchanges.about(one.node, one.type_url, rejection) for one, rejection in found)
        self.refused = RefusedPolicy(self._plane.policy.revision, self._clock.now(), (), why)
        self._plane.apply(self._good)
        self._undecided = frozenset()
        self.in_force = self._good_file
        return self.refused

    async def _taken(self) -> None:
        self.refused, self.in_force = None, self.path
        self._good, self._good_file = self._plane.policy.rules, self.path
        self._undecided = frozenset()
        if self._last is not None:
            await asyncio.to_thread(self._last.keep, self.path)

    def _not_taken(self, refused: RefusedPolicy) -> PolicyChange:
        self.refused = refused
        return PolicyChange(refused=refused)
