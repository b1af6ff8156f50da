"""What an answer of a sidecar proves: whether the call was sent. tests/fleet/test_mesh.py has real sidecars."""

import pytest

from souk.rpc.sidecar import ATTEMPTS, FLAGS, never_sent


@pytest.mark.parametrize(
    ("flags", "attempts", "proved"),
    [
        ("UH", "-", True),
        ("UH", "0", True),
        ("UF", "1", True),
        ("UO", "1", True),
        ("UF,URX", "1", True),
        ("UF,URX", "3", False),  # what became of the first two is not known
        ("UC", "1", False),
        ("UT", "1", False),
        ("UH,UC", "1", False),
        ("-", "0", True),  # no try was begun
        ("-", "1", False),
    ],
)
def test_only_flags_from_before_the_call_prove_that_it_was_not_sent(flags: str, attempts: str, proved: bool) -> None:
    assert never_sent(((FLAGS, flags), (ATTEMPTS, attempts))) is proved


def test_an_answer_of_the_callee_proves_nothing() -> None:
    assert not never_sent(())
    assert not never_sent((("grpc-status", "14"),))
