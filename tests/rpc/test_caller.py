"""Who may call: the caller's token, and access by contract."""

import pytest

from souk.kernel.clock import FakeClock
from souk.kernel.context import Caller
from souk.kernel.errors import ConfigurationError, PermissionDenied, Unauthenticated
from souk.rpc.admission import Admission
from souk.rpc.caller_token import CallerTokens
from souk.rpc.outgoing import method_of

KEY = b"k" * 32
ALICE = Caller("U-1", frozenset({"admin"}), frozenset({"probe"}), "whatever it says")
UNARY, INTERNAL, GUARDED = (f"/souktest.v1.Probe/{name}" for name in ("Unary", "Internal", "Guarded"))
FOREIGN = "/souktest.v1.Foreign/Unary"


@pytest.fixture(autouse=True)
def contract() -> None:
    pass


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_token_says_who_asks_and_which_service(clock: FakeClock) -> None:
    token = CallerTokens(KEY, "order", clock).sign(ALICE)
    seen = CallerTokens(KEY, "payment", clock).verify(token)
    assert seen == Caller("U-1", frozenset({"admin"}), frozenset({"probe"}), "order")


def test_a_token_is_signed_anew_after_half_its_life_and_then_dies(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock, lifetime=60)
    first = tokens.sign(ALICE)
    assert tokens.sign(ALICE) is first
    clock.advance(31)
    assert tokens.sign(ALICE) != first
    tokens.verify(first)
    clock.advance(30)
    with pytest.raises(Unauthenticated):
        tokens.verify(first)


def test_whatever_was_not_signed_with_the_key_is_refused(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock)
    token = tokens.sign(ALICE)
    forged = [CallerTokens(b"z" * 32, "order", clock).sign(ALICE), token[1:], "x" + token, "", "ü"]
    forged += [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token) - 1)
    ]
    for other in forged:
        with pytest.raises(Unauthenticated):
            tokens.verify(other)


def test_a_short_key_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError):
        CallerTokens(b"short", "order", clock)


def test_what_is_cached_is_bounded(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock)
    for number in range(5_000):
        tokens.verify(tokens.sign(Caller(str(number))))
    assert len(tokens._signed) == len(tokens._verified) == 4_096


USER, ADMIN = Caller("U-1"), Caller("U-1", frozenset({"owner"}), frozenset({"probe", "more"}))


@pytest.mark.parametrize(
    ("path", "caller", "refused"),
    [
        (UNARY, None, None),
        (INTERNAL, None, Unauthenticated),
        (INTERNAL, Caller(), None),
        (GUARDED, None, Unauthenticated),
        (GUARDED, Caller(), Unauthenticated),
        (GUARDED, USER, PermissionDenied),
        (GUARDED, Caller("U-1", frozenset({"admin"})), PermissionDenied),
        (GUARDED, Caller("U-1", frozenset(), frozenset({"probe"})), PermissionDenied),
        (GUARDED, ADMIN, None),
        (FOREIGN, None, Unauthenticated),
        (FOREIGN, Caller(), None),
    ],
)
def test_access(clock: FakeClock, path: str, caller: Caller | None, refused: type[Exception] | None) -> None:
    tokens = CallerTokens(KEY, "order", clock)
    gate = Admission(tokens, clock)
    metadata = () if caller is None else (("souk-caller", tokens.sign(caller)),)
    if refused is None:
        gate.admit(method_of(path), metadata, 1.0)
    else:
        with pytest.raises(refused):
            gate.admit(method_of(path), metadata, 1.0)


def test_without_tokens_nobody_is_anybody(clock: FakeClock) -> None:
    gate = Admission(None, clock)
    token = (("souk-caller", CallerTokens(KEY, "order", clock).sign(ADMIN)),)
    gate.admit(method_of(FOREIGN), token, 1.0)
    for path in (INTERNAL, GUARDED):
        with pytest.raises(Unauthenticated):
            gate.admit(method_of(path), token, 1.0)


def test_a_call_without_a_deadline_gets_the_contracts(clock: FakeClock) -> None:
    context = Admission(None, clock).admit(method_of(UNARY), (), None)
    assert context.deadline == clock.monotonic() + 20
