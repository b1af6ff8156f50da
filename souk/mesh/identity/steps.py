"""Carries out the steps of a rotation: makes the keys and certificates that a step needs."""

import secrets

from souk.mesh.identity.certificates import KeyPair, make_intermediate, make_root
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.record import AuthorityRecord
from souk.mesh.identity.rotation import (
    NEW_INTERMEDIATE,
    NEW_ROOT,
    RootStage,
    RotationState,
    RotationStep,
    SigningIntermediate,
    SigningRoot,
    after,
    intermediate_span,
    root_span,
)

_ID_BYTES = 8


def first_record(trust_domain: str, now: int, lifetimes: Lifetimes) -> AuthorityRecord:
    """Makes the record of a new authority: its first root signs at once, as there is no peer yet."""
    root, root_pair = _new_root(trust_domain, now, lifetimes)
    intermediate, pair = _new_intermediate(trust_domain, now, lifetimes, root, root_pair)
    state = RotationState(RootStage.STEADY, now, root, intermediate)
    return AuthorityRecord(trust_domain, state, {root.id: root_pair, intermediate.id: pair})


def carried_out(record: AuthorityRecord, step: RotationStep, now: int, lifetimes: Lifetimes) -> AuthorityRecord:
    """Makes the record after a step. Raises IllegalTransition for a step that its stage does not allow."""
    state, pairs = record.rotation, dict(record.pairs)
    root = intermediate = None
    if step in NEW_ROOT:
        root, pairs[root.id] = _new_root(record.trust_domain, now, lifetimes)
    if step in NEW_INTERMEDIATE:
        signing = _signing_after(state, step, root)
        intermediate, pairs[intermediate.id] = _new_intermediate(
            record.trust_domain, now, lifetimes, signing, pairs[signing.id]
        )
    state = after(state, step, now, root=root, intermediate=intermediate, leaf=lifetimes.leaf)
    kept = {each: pair for each, pair in pairs.items() if each in state.ids}
    return AuthorityRecord(record.trust_domain, state, kept, record.refused)


def _signing_after(state: RotationState, step: RotationStep, root: SigningRoot | None) -> SigningRoot:
    other = state.other if step is RotationStep.TAKE_OVER else None
    return root or other or state.signing


def _new_root(trust_domain: str, now: int, lifetimes: Lifetimes) -> tuple[SigningRoot, KeyPair]:
    root = SigningRoot(secrets.token_hex(_ID_BYTES), root_span(now, lifetimes), lifetimes.leaf)
    return root, make_root(trust_domain, root.id, root.span)


def _new_intermediate(
    trust_domain: str, now: int, lifetimes: Lifetimes, root: SigningRoot, by: KeyPair
) -> tuple[SigningIntermediate, KeyPair]:
    intermediate = SigningIntermediate(secrets.token_hex(_ID_BYTES), intermediate_span(root, now, lifetimes))
    return intermediate, make_intermediate(trust_domain, intermediate.id, intermediate.span, by)
