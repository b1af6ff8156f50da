"""The fuzzer for a few seconds, and what it is made of."""

from pathlib import Path
from random import Random

import pytest

from tests.attacks.fuzz.mutation import mutated
from tests.attacks.fuzz.run import FuzzRun
from tests.attacks.fuzz.target import fuzz_target


@pytest.mark.full
def test_a_system_stays_whole_whatever_it_is_sent(tmp_path: Path) -> None:
    lines: list[str] = []
    with fuzz_target(tmp_path) as target:
        run = FuzzRun(target, 20, tmp_path, lines.append)
        report = run.run(20.0)
        assert report.failures == [], target.process.output()
    assert report.shots > 200
    assert {"200", "400", "404", "PROTOCOL_ERROR"} <= report.statuses.keys()


def test_the_same_seed_makes_the_same_changes() -> None:
    octets = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    made = [mutated(octets, Random(f"1:{number}")) for number in range(50)]
    assert made == [mutated(octets, Random(f"1:{number}")) for number in range(50)]
    assert len(set(made)) > 25
