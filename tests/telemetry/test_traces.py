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
