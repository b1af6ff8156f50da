import pytest

from souk.telemetry import traces

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_valid_header_survives_the_round_trip() -> None:
    found = traces.parse(VALID)
    assert found is not None
    assert found.traceparent == VALID
    assert found.sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        VALID.upper(),
        VALID + "-more",
        VALID + "\n",
        "ff" + VALID[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_what_is_not_valid_is_absent(header: str) -> None:
    assert traces.parse(header) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = traces.parse("01" + VALID[2:] + "-what-may-come")
    assert found is not None
    assert found.traceparent == VALID


def test_a_child_stays_in_the_trace_and_its_sampling() -> None:
    parent = traces.new(sampled=False)
    child = traces.child_of(parent.traceparent)
    assert child.trace_id == parent.trace_id
    assert child.span_id != parent.span_id
    assert not child.sampled


def test_without_a_parent_a_trace_begins() -> None:
    assert traces.parse(traces.child_of("").traceparent) is not None


STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.mark.parametrize(
    "header",
    [
        STATE,
        "a=1",
        "fw529a3039@dt=FfAX_bOh, rojo=1 ,",
        "k=" + "x" * 256,
        "k= a b !",
        ",".join(f"k{number}=1" for number in range(32)),
    ],
)
def test_a_valid_state_goes_on_unchanged(header: str) -> None:
    assert traces.carried_state(header) == header


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "rojo",
        "rojo=",
        "=1",
        "Rojo=1",
        "rojo=1,rojo=2",
        "rojo=a=b",
        "rojo=1\n",
        "rojo=\u00e9",
        "1rojo=1",
        "a@=1",
        "@dt=1",
        "k=" + "x" * 257,
        "k" * 257 + "=1",
        ",".join(f"k{number}=1" for number in range(33)),
        "a=1," * 10_000,
    ],
)
def test_a_malformed_state_is_absent(header: str) -> None:
    assert traces.carried_state(header) == ""


def test_a_long_state_loses_its_long_members_first_and_then_the_last() -> None:
    short = [f"k{number}={'x' * 60}" for number in range(7)]
    long = f"long={'x' * 200}"
    assert traces.carried_state(",".join([*short[:2], long, *short[2:]])) == ",".join(short)
    more = [f"m{number}={'y' * 60}" for number in range(4)]
    assert traces.carried_state(",".join([*short, *more])) == ",".join([*short, more[0]])
