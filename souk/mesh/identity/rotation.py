"""The rotation of signing certificates, as a pure state machine: time is an argument, and nothing is signed here.

A root is rotated by overlap, so that every certificate verifies at every peer, also at one that is late:

    steady      one root
    introduced  the next root is trusted everywhere, and signs nothing yet. It takes over when the control plane has
                served it for the whole delay, measured by a clock that nobody sets
    overlap     the next root signs; the former is trusted until no certificate of it can be alive

Why a former root is safe to drop: a leaf that was valid when the next root took over began before, and is valid for
its lifetime and the skew. So it has ended one lifetime and one skew later, by the date, whatever clocks did before. The
second skew is for peers whose clock is behind. When the date is set back meanwhile, the same holds from then on.

A signing root that is not valid at the present date (a clock was set, or the system was off for long) signs nothing
that verifies: the other root takes over if it is valid, or a new one signs at once.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from souk.kernel.state_machine import StateMachine
from souk.mesh.identity.lifetimes import Lifetimes


class RootStage(StrEnum):
    """How far the rotation of the root is."""

    STEADY = "steady"
    INTRODUCED = "introduced"
    OVERLAP = "overlap"


class RotationStep(StrEnum):
    """What is to be done next."""

    INTRODUCE = "introduce"
    """Make the next root, which is trusted from now on."""
    TAKE_OVER = "take over"
    """The other root signs, with a new intermediate."""
    DISTRUST = "distrust"
    """The former root is not trusted any more."""
    REPLACE = "replace"
    """No root is valid: make one that signs at once."""
    RENEW = "renew"
    """Make a new intermediate, by the root that signs."""
    LENGTHEN = "lengthen"
    """Record that leaves may live longer than before, before one does."""
    WAIT_AGAIN = "wait again"
    """The date was set back to before the overlap: the wait for leaves of the former root begins again."""


_STAGE, _STEP = RootStage, RotationStep
MACHINE: StateMachine[RootStage, RotationStep] = StateMachine(
    "root rotation",
    _STAGE.STEADY,
    {
        (_STAGE.STEADY, _STEP.INTRODUCE): _STAGE.INTRODUCED,
        (_STAGE.INTRODUCED, _STEP.INTRODUCE): _STAGE.INTRODUCED,
        (_STAGE.INTRODUCED, _STEP.TAKE_OVER): _STAGE.OVERLAP,
        (_STAGE.OVERLAP, _STEP.TAKE_OVER): _STAGE.OVERLAP,
        (_STAGE.OVERLAP, _STEP.WAIT_AGAIN): _STAGE.OVERLAP,
        (_STAGE.OVERLAP, _STEP.DISTRUST): _STAGE.STEADY,
        **{(stage, _STEP.REPLACE): _STAGE.OVERLAP for stage in _STAGE},
        **{(stage, _STEP.RENEW): stage for stage in _STAGE},
        **{(stage, _STEP.LENGTHEN): stage for stage in _STAGE},
    },
)
NEW_ROOT = frozenset({_STEP.INTRODUCE, _STEP.REPLACE})
NEW_INTERMEDIATE = frozenset({_STEP.TAKE_OVER, _STEP.REPLACE, _STEP.RENEW})


@dataclass(frozen=True, slots=True)
class CertificateSpan:
    """When a certificate was issued, and from when until when it is valid, in seconds since 1970."""

    issued: int
    begins: int
    ends: int

    def valid(self, now: int) -> bool:
        """Tells whether it is valid at a date."""
        return self.begins <= now < self.ends

    @property
    def half(self) -> int:
        """The date at which half of its life has passed: it is renewed then."""
        return self.issued + (self.ends - self.issued) // 2


@dataclass(frozen=True, slots=True)
class SigningRoot:
    """A root; none of its leaves lives for more than `longest_leaf` seconds."""

    id: str
    span: CertificateSpan
    longest_leaf: int


@dataclass(frozen=True, slots=True)
class SigningIntermediate:
    """The intermediate, which the signing root has signed."""

    id: str
    span: CertificateSpan


@dataclass(frozen=True, slots=True)
class RotationState:
    """Which root signs, which other one is trusted, and since when, in seconds since 1970, the stage is reached."""

    stage: RootStage
    since: int
    signing: SigningRoot
    intermediate: SigningIntermediate
    other: SigningRoot | None = None

    @property
    def trusted(self) -> tuple[SigningRoot, ...]:
        """The roots that every peer is to trust."""
        return (self.signing,) if self.other is None else (self.signing, self.other)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the signing certificates that are still needed."""
        return frozenset(root.id for root in self.trusted) | {self.intermediate.id}


def next_step(state: RotationState, now: int, served: float, lifetimes: Lifetimes) -> RotationStep | None:
    """Decides what is to be done at a date; None if nothing is.

    `served` is for how many seconds this process has served the present roots, by a clock that nobody sets: peers
    learn of a root only while it is served.
    """
    if not state.signing.span.valid(now):
        usable = state.other is not None and state.other.span.valid(now)
        return _STEP.TAKE_OVER if usable else _STEP.REPLACE
    if _intermediate_is_due(state, now, lifetimes):
        return _STEP.RENEW
    if state.signing.longest_leaf < lifetimes.leaf:
        return _STEP.LENGTHEN
    if state.other is None:
        return _STEP.INTRODUCE if now >= state.signing.span.half else None
    if state.stage is _STAGE.INTRODUCED:
        return _introduced(state.other, now, served, lifetimes)
    return _overlapping(state, state.other, now, served, lifetimes)


def distrusted_at(state: RotationState, lifetimes: Lifetimes) -> int | None:
    """Gives the date from which the former root need not be trusted; None without a former root."""
    if state.stage is not _STAGE.OVERLAP or state.other is None:
        return None
    return state.since + state.other.longest_leaf + 2 * lifetimes.skew


def root_span(now: int, lifetimes: Lifetimes) -> CertificateSpan:
    """Decides how long a root is valid that is made at a date."""
    return CertificateSpan(now, now - lifetimes.backdated, now + lifetimes.root)


def intermediate_span(root: SigningRoot, now: int, lifetimes: Lifetimes) -> CertificateSpan:
    """Decides how long an intermediate is valid: not longer than the root that signs it."""
    ends = min(now + lifetimes.intermediate, root.span.ends)
    return CertificateSpan(now, now - lifetimes.backdated, ends)


def leaf_span(state: RotationState, now: int, lifetimes: Lifetimes) -> CertificateSpan | None:
    """Decides how long a leaf is valid: not longer than what signs it, nor than was recorded for its root.

    None if no signing certificate is valid at this date.
    """
    if not (state.signing.span.valid(now) and state.intermediate.span.valid(now)):
        return None
    lifetime = min(lifetimes.leaf, state.signing.longest_leaf)
    return CertificateSpan(now, now - lifetimes.skew, min(now + lifetime, state.intermediate.span.ends))


def leaf_is_due(span: CertificateSpan, root: str, state: RotationState, now: int, lifetimes: Lifetimes) -> bool:
    """Tells whether a leaf is to be renewed: it is not valid at this date, its root does not sign any more, or it has
    at most half of the life left that a new one would have.

    So a leaf that was cut short by its intermediate is renewed as soon as there is a longer one to be had.
    """
    if not span.valid(now) or root != state.signing.id:
        return True
    following = leaf_span(state, now, lifetimes)
    return following is None or span.ends - now <= (following.ends - now) / 2


def after(
    state: RotationState,
    step: RotationStep,
    now: int,
    *,
    root: SigningRoot | None = None,
    intermediate: SigningIntermediate | None = None,
    leaf: int = 0,
) -> RotationState:
    """Gives the state after a step, with the root and the intermediate that were made for it.

    Raises IllegalTransition for a step that the stage does not allow.
    """
    moved = replace(state, stage=MACHINE.next(state.stage, step), intermediate=intermediate or state.intermediate)
    match step:
        case _STEP.INTRODUCE:
            return replace(moved, since=now, other=root)
        case _STEP.TAKE_OVER:
            return replace(moved, since=now, signing=state.other or state.signing, other=state.signing)
        case _STEP.REPLACE:
            return replace(moved, since=now, signing=root or state.signing, other=state.signing)
        case _STEP.DISTRUST:
            return replace(moved, since=now, other=None)
        case _STEP.LENGTHEN:
            return replace(moved, signing=replace(state.signing, longest_leaf=leaf))
        case _STEP.WAIT_AGAIN:
            return replace(moved, since=now)
        case _:
            return moved


def _intermediate_is_due(state: RotationState, now: int, lifetimes: Lifetimes) -> bool:
    span = state.intermediate.span
    lasts_longer = min(now + lifetimes.intermediate, state.signing.span.ends) > span.ends
    return not span.valid(now) or (now >= span.half and lasts_longer)


def _introduced(following: SigningRoot, now: int, served: float, lifetimes: Lifetimes) -> RotationStep | None:
    if not following.span.valid(now):
        return _STEP.INTRODUCE
    return _STEP.TAKE_OVER if served >= lifetimes.delay else None


def _overlapping(
    state: RotationState, former: SigningRoot, now: int, served: float, lifetimes: Lifetimes
) -> RotationStep | None:
    if now < state.since:
        return _STEP.WAIT_AGAIN
    ended = now >= state.since + former.longest_leaf + 2 * lifetimes.skew
    return _STEP.DISTRUST if ended and served >= lifetimes.delay else None
