"""Which tests run in one worker, one after the other."""

from itertools import groupby

from tests.scheduling import SHARE, units

WORKERS = 4


def test_tests_of_a_group_are_one_unit_whatever_their_file() -> None:
    found = units(["a.py::one@fleet", "b.py::two[x]@fleet", "b.py::three"], WORKERS)
    assert found["a.py::one@fleet"] == found["b.py::two[x]@fleet"] == "fleet"
    assert found["b.py::three"] != "fleet"


def test_an_at_among_parameters_is_no_group() -> None:
    assert len(set(units(["a.py::one[x@y]", "b.py::one[x@y]"], WORKERS).values())) == 2


def test_neighbours_stay_together_in_units_that_become_smaller() -> None:
    tests = [f"a.py::{number}" for number in range(1_000)]
    sizes = [len(list(unit)) for _, unit in groupby(units(tests, WORKERS).values())]
    assert sizes[0] == 1_000 // (WORKERS * SHARE)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert len(sizes) > WORKERS * SHARE


def test_a_unit_is_of_one_file() -> None:
    tests = [f"{file}.py::{number}" for file in "abc" for number in range(10)]
    assert len(set(units(tests, workers=1).values())) >= 3
    assert all(name.startswith(f"{test.partition('::')[0]} ") for test, name in units(tests, 1).items())
