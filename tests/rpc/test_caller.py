"""Who may call: the caller's token, and access by contract."""

import pytest

from souk.kernel.clock import MICROSECONDS
from souk.kernel.context import Caller
from souk.kernel.errors import CallerTokenRefused, ConfigurationError, PermissionDenied, Unauthenticated
from souk.rpc.caller_token import TOLERANCE, CallerTokens
from souk.rpc.client.outgoing import method_of
from souk.rpc.server.admission import Admission
from souk.testing.clocks import FakeClock
from souk.testing.probe import probe_pb2

KEY = b"k" * 32
ALICE = Caller("U-1", frozenset({"admin"}), frozenset({"probe"}), "whatever it says")
PROBE = probe_pb2.DESCRIPTOR.services_by_name["Probe"].full_name
UNARY, INTERNAL, GUARDED = (f"/{PROBE}/{name}" for name in ("Unary", "Internal", "Guarded"))
FOREIGN = "/souktest.v1.Foreign/Unary"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def sign(tokens: CallerTokens, caller: Caller = ALICE, audience: str = "order", method: str = UNARY) -> str:
    return tokens.sign(caller, audience, method)


def test_a_token_says_who_asks_and_which_service(clock: FakeClock) -> None:
    token = sign(CallerTokens(KEY, "order", clock), audience="payment")
    seen = CallerTokens(KEY, "payment", clock).verify(token, UNARY)
    assert seen == Caller("U-1", frozenset({"admin"}), frozenset({"probe"}), "order")


def test_a_token_for_another_service_or_another_method_is_refused_and_says_so(clock: FakeClock) -> None:
    token = sign(CallerTokens(KEY, "order", clock), audience="payment")
    with pytest.raises(CallerTokenRefused, match="is for 'payment', and this is 'user'"):
        CallerTokens(KEY, "user", clock).verify(token, UNARY)
    with pytest.raises(CallerTokenRefused, match=f"is for {UNARY}, and not for {INTERNAL}"):
        CallerTokens(KEY, "payment", clock).verify(token, INTERNAL)


def test_a_token_is_signed_anew_after_half_its_life_and_then_dies(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock, lifetime=60)
    first = sign(tokens)
    assert sign(tokens) is first
    clock.advance(31)
    assert sign(tokens) != first
    clock.advance(29 + TOLERANCE - 1)
    tokens.verify(first, UNARY)
    clock.advance(1)
    with pytest.raises(CallerTokenRefused, match="expired 60 s ago by this process's clock"):
        tokens.verify(first, UNARY)


@pytest.mark.parametrize(
    ("ahead", "refused"),
    [(TOLERANCE, ""), (3_700, "issued 3,700 s in the future"), (-TOLERANCE, ""), (-3_700, "expired 3,670 s ago")],
)
def test_clocks_may_differ_a_little_and_who_is_off_by_more_is_told(ahead: float, refused: str) -> None:
    here = FakeClock()
    there = FakeClock(here.now() + round(ahead * MICROSECONDS))
    token = sign(CallerTokens(KEY, "order", there))
    if not refused:
        CallerTokens(KEY, "order", here).verify(token, UNARY)
        return
    with pytest.raises(CallerTokenRefused, match=refused):
        CallerTokens(KEY, "order", here).verify(token, UNARY)


def test_a_clock_that_is_set_back_signs_anew(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock)
    clock.advance(3_700)
    early = sign(tokens)
    clock.advance(-3_700)
    assert sign(tokens) != early


def test_whatever_was_not_signed_with_the_key_is_refused(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock)
    token = sign(tokens)
    forged = [sign(CallerTokens(b"z" * 32, "order", clock)), token[1:], "x" + token, "", "ü"]
    forged += [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token) - 1)
    ]
    for other in forged:
        with pytest.raises(CallerTokenRefused):
            tokens.verify(other, UNARY)


def test_a_short_key_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError):
        CallerTokens(b"short", "order", clock)


def test_what_is_cached_is_bounded(clock: FakeClock) -> None:
    tokens = CallerTokens(KEY, "order", clock)
    for number in range(5_000):
        tokens.verify(sign(tokens, Caller(str(number))), UNARY)
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
    metadata = () if caller is None else (("souk-caller", sign(tokens, caller, method=path)),)
    if refused is None:
        gate.admit(method_of(path), metadata, 1.0)
    else:
        with pytest.raises(refused):
            gate.admit(method_of(path), metadata, 1.0)


def test_a_service_that_the_contract_does_not_name_may_not_call_an_internal_method(clock: FakeClock) -> None:
    gate = Admission(CallerTokens(KEY, "probe", clock), clock)
    metadata = (("souk-caller", sign(CallerTokens(KEY, "product", clock), Caller(), "probe", INTERNAL)),)
    with pytest.raises(PermissionDenied, match="does not name 'product'"):
        gate.admit(method_of(INTERNAL), metadata, 1.0)


def test_without_tokens_nobody_is_anybody(clock: FakeClock) -> None:
    gate = Admission(None, clock)
    token = (("souk-caller", sign(CallerTokens(KEY, "order", clock), ADMIN)),)
    gate.admit(method_of(FOREIGN), token, 1.0)
    for path in (INTERNAL, GUARDED):
        with pytest.raises(Unauthenticated):
            gate.admit(method_of(path), token, 1.0)


def test_a_call_without_a_deadline_gets_the_contracts(clock: FakeClock) -> None:
    context = Admission(None, clock).admit(method_of(UNARY), (), None)
    assert context.deadline == clock.monotonic() + 20
