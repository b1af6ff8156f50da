"""Several workers may share the journeys; each system is dear, and is started once."""

import pytest

from souk.testing.system import MODES


def test_all_tests_of_a_system_run_on_one_worker(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", False):
        pytest.skip("one process runs all tests")
    journeys = [item for item in request.session.items if "system" in getattr(item, "fixturenames", ())]
    here = [item.nodeid for item in journeys if item.path.parent == request.path.parent]
    assert {nodeid.rpartition("@")[2] for nodeid in here} <= {f"journeys, {mode}" for mode in MODES}
