"""At every moment every certificate in use verifies at every peer, however late peers are up to the delay.

The model has the authority's decisions without its signatures: a control plane that ticks, crashes and is down;
operators; full disks; and clocks that are set. What a peer may have is everything that was served since what has been
served for the delay, by the process that serves now; each certificate of that must verify with each bundle of it.
"""

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from souk.mesh.identity.rotation import (
    MACHINE,
    NEW_INTERMEDIATE,
    NEW_ROOT,
    CertificateSpan,
    RootStage,
    RotationState,
    RotationStep,
    SigningIntermediate,
    SigningRoot,
    after,
    intermediate_span,
    leaf_is_due,
    leaf_span,
    next_step,
    root_span,
)
from tests.mesh.identity.fleet import SHORT, TICK
from tests.properties import examples

pytestmark = pytest.mark.hypothesis
WORKLOADS = (0, 1, 2)
START = 1_800_000_000
HEALED = SHORT.leaf + 2 * SHORT.skew + 3 * SHORT.delay + 3 * TICK
"""Seconds after which all is well, wherever a clock was set to: also if the signing root ends soon. An overlap may have
to end before its successor is introduced, and each of the stages, and the last certificates, take a delay."""


@dataclass(frozen=True)
class Leaf:
    span: CertificateSpan
    chain: tuple[CertificateSpan, CertificateSpan]
    root: str

    def valid(self, now: int) -> bool:
        return all(span.valid(now) for span in (self.span, *self.chain))


@dataclass(frozen=True)
class Served:
    """What a process of the control plane served at a time: the bundle, and a leaf for each workload."""

    process: int
    at: float
    bundle: frozenset[str]
    leaves: tuple[Leaf, ...]


@dataclass
class Fleet:
    """A control plane, and what its peers may have. `steady` is the time that nobody sets."""

    now: int = START
    steady: float = 0.0
    full: bool = False
    troubled: float | None = None
    """The time at which no root was valid, or a clock was set; None if peers had the delay since then."""
    process: int = 0
    steps: list[RotationStep] = field(default_factory=list)
    possible: list[Served] = field(default_factory=list)
    ids: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        root = SigningRoot(self._id(), root_span(self.now, SHORT), SHORT.leaf)
        intermediate = SigningIntermediate(self._id(), intermediate_span(root, self.now, SHORT))
        self.state = RotationState(RootStage.STEADY, self.now, root, intermediate)
        self.restart()

    def _id(self) -> str:
        return str(next(self.ids))

    def restart(self) -> None:
        """A new process serves what is on the disk; it knows of no leaf, and issues new ones."""
        self.process += 1
        self.since: dict[object, float] = {}
        self.issued: list[Leaf | None] = [None for _ in WORKLOADS]
        self.troubled = None if self.troubled is None else self.steady
        self.tick()

    def served(self) -> float:
        key = tuple(root.id for root in self.state.trusted)
        self.since = {key: self.since.get(key, self.steady)}
        return self.steady - self.since[key]

    def tick(self) -> None:
        for _ in range(8):
            step = next_step(self.state, self.now, self.served(), SHORT)
            if step is None or self.full:
                break
            self.do(step)
        else:
            raise AssertionError(f"never done: {self.steps[-8:]}")
        if not self.state.signing.span.valid(self.now):
            self.troubled = self.steady
        for each in WORKLOADS:
            old = self.issued[each]
            if old is None or leaf_is_due(old.span, old.root, self.state, self.now, SHORT):
                self.issued[each] = self._issue() or old
        leaves = tuple(leaf for leaf in self.issued if leaf is not None)
        bundle = frozenset(root.id for root in self.state.trusted)
        self.possible.append(Served(self.process, self.steady, bundle, leaves))
        self.check()

    def _issue(self) -> Leaf | None:
        span = leaf_span(self.state, self.now, SHORT)
        chain = (self.state.intermediate.span, self.state.signing.span)
        return None if span is None else Leaf(span, chain, self.state.signing.id)

    def pass_time(self, ticks: int, *, alive: bool = True) -> None:
        for _ in range(ticks):
            self.now += TICK
            self.steady += TICK
            if alive:
                self.forget()
                self.tick()
            self.check()

    def forget(self) -> None:
        """Every peer has by now what this process has served for the delay, or something newer."""
        arrived = [
            number
            for number, each in enumerate(self.possible)
            if each.process == self.process and self.steady - each.at >= SHORT.delay
        ]
        if arrived:
            self.possible = self.possible[arrived[-1] :]
        if self.troubled is not None and self.steady - self.troubled > SHORT.delay:
            self.troubled = None

    def check(self) -> None:
        if self.troubled is None:
            used = {leaf.root for each in self.possible for leaf in each.leaves if leaf.valid(self.now)}
            for bundle in {each.bundle for each in self.possible}:
                assert used <= bundle, (self.state, self.steps[-6:])

    @property
    def works(self) -> bool:
        """Whether every workload has a certificate that is valid, whichever of those that it may have."""
        return all(len(each.leaves) == len(WORKLOADS) for each in self.possible) and all(
            leaf.valid(self.now) for each in self.possible for leaf in each.leaves
        )

    def do(self, step: RotationStep) -> None:
        root = SigningRoot(self._id(), root_span(self.now, SHORT), SHORT.leaf) if step in NEW_ROOT else None
        if not self.state.signing.span.valid(self.now):
            self.troubled = self.steady
        signing = root or (self.state.other if step is RotationStep.TAKE_OVER else None) or self.state.signing
        intermediate = SigningIntermediate(self._id(), intermediate_span(signing, self.now, SHORT))
        made = intermediate if step in NEW_INTERMEDIATE else None
        self.state = after(self.state, step, self.now, root=root, intermediate=made, leaf=SHORT.leaf)
        self.steps.append(step)


class Rotation(RuleBasedStateMachine):
    """No clock is set here, so nothing but an outage that outlasts a root is an excuse."""

    @initialize()
    def begin(self) -> None:
        self.fleet = Fleet()

    @rule(ticks=strategies.integers(1, 60))
    def time_passes(self, ticks: int) -> None:
        self.fleet.pass_time(ticks)

    @rule(ticks=strategies.integers(1, 60))
    def the_control_plane_crashes(self, ticks: int) -> None:
        self.fleet.pass_time(ticks, alive=False)
        self.fleet.restart()

    @rule()
    def it_is_restarted_at_once(self) -> None:
        self.fleet.restart()

    @rule(workload=strategies.sampled_from(WORKLOADS))
    def a_workload_is_started_again(self, workload: int) -> None:
        self.fleet.issued[workload] = None
        self.fleet.pass_time(1)

    @rule()
    def an_operator_rotates_the_root(self) -> None:
        if self.fleet.state.stage is RootStage.STEADY and self.fleet.state.signing.span.valid(self.fleet.now):
            self.fleet.do(RotationStep.INTRODUCE)
            self.fleet.tick()

    @rule(full=strategies.booleans())
    def the_disk_changes(self, full: bool) -> None:
        self.fleet.full = full

    @invariant()
    def every_certificate_verifies(self) -> None:
        if hasattr(self, "fleet"):
            self.fleet.check()


class SetClocks(Rotation):
    """Clocks are set, forwards and backwards; after a while everything verifies, and works, again."""

    @rule(seconds=strategies.one_of(strategies.integers(-6_000, 6_000), strategies.integers(-100_000, 100_000)))
    def the_clock_is_set(self, seconds: int) -> None:
        self.fleet.now += seconds
        self.fleet.troubled = self.fleet.steady
        self.fleet.tick()

    @rule()
    def it_heals(self) -> None:
        self.fleet.full = False
        self.fleet.pass_time(HEALED // TICK)
        assert self.fleet.troubled is None
        assert self.fleet.works


def property_of(machine: type[RuleBasedStateMachine], thorough: int) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=examples(thorough), stateful_step_count=40))


def test_every_certificate_verifies_at_every_peer() -> None:
    property_of(Rotation, 600)


def test_after_a_clock_was_set_everything_verifies_again() -> None:
    property_of(SetClocks, 600)


def test_a_rotation_by_itself_takes_every_stage_and_ends() -> None:
    fleet = Fleet()
    fleet.pass_time(SHORT.root // 2 // TICK + 100)
    assert [step for step in fleet.steps if step is not RotationStep.RENEW] == [
        RotationStep.INTRODUCE,
        RotationStep.TAKE_OVER,
        RotationStep.DISTRUST,
    ]
    assert fleet.works


def test_a_former_root_is_trusted_while_a_leaf_of_it_can_be_alive() -> None:
    fleet = Fleet()
    fleet.do(RotationStep.INTRODUCE)
    fleet.pass_time(SHORT.delay // TICK + 1)
    assert fleet.state.stage is RootStage.OVERLAP
    former, ends = fleet.state.other, fleet.state.since + SHORT.leaf + 2 * SHORT.skew
    while fleet.now < ends - TICK:
        fleet.pass_time(1)
        assert fleet.state.other == former
    fleet.pass_time(2)
    assert fleet.state.other is None


def test_a_date_that_jumps_on_does_not_drop_the_former_root_before_peers_have_new_leaves() -> None:
    fleet = Fleet()
    fleet.do(RotationStep.INTRODUCE)
    fleet.do(RotationStep.TAKE_OVER)
    later = fleet.now + SHORT.leaf + 2 * SHORT.skew
    assert next_step(fleet.state, later, SHORT.delay - 1, SHORT) is None
    assert next_step(fleet.state, later, SHORT.delay, SHORT) is RotationStep.DISTRUST


def test_a_leaf_that_was_cut_short_is_renewed_as_soon_as_another_lasts_longer() -> None:
    fleet = Fleet()
    fleet.full = True
    fleet.pass_time((SHORT.intermediate - SHORT.delay) // TICK - 2)
    fleet.issued = [None for _ in WORKLOADS]
    fleet.pass_time(1)
    fleet.full = False
    fleet.pass_time(1)
    assert [leaf.span.ends for leaf in fleet.possible[-1].leaves] == [fleet.now + SHORT.leaf for _ in WORKLOADS]
    fleet.pass_time(SHORT.delay // TICK)
    assert fleet.works


def test_a_longer_life_of_leaves_is_recorded_before_one_lives_so_long() -> None:
    fleet = Fleet()
    longer = replace(SHORT, leaf=400)
    assert leaf_span(fleet.state, fleet.now, longer) == leaf_span(fleet.state, fleet.now, SHORT)
    assert next_step(fleet.state, fleet.now, 0.0, longer) is RotationStep.LENGTHEN
    state = after(fleet.state, RotationStep.LENGTHEN, fleet.now, leaf=400)
    assert next_step(state, fleet.now, 0.0, longer) is None
    span = leaf_span(state, fleet.now, longer)
    assert span is not None
    assert span.ends == fleet.now + 400


def test_a_date_set_back_during_the_overlap_does_not_make_the_wait_endless() -> None:
    fleet = Fleet()
    fleet.now += 1_500
    fleet.pass_time(1)
    fleet.do(RotationStep.INTRODUCE)
    fleet.pass_time(SHORT.delay // TICK + 1)
    fleet.now -= 90
    fleet.pass_time((SHORT.leaf + 2 * SHORT.skew) // TICK + 1)
    steps = [RotationStep.INTRODUCE, RotationStep.TAKE_OVER, RotationStep.WAIT_AGAIN, RotationStep.DISTRUST]
    assert [step for step in fleet.steps if step is not RotationStep.RENEW] == steps


def test_the_table_is_drawn() -> None:
    assert "introduced --> overlap: take over" in MACHINE.diagram()
