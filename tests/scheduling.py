"""How tests are handed out to the workers of pytest-xdist: groups first, and neighbours together.

`--dist loadgroup` alone hands out each test that is in no group by itself: every worker then sets up what nearly every
module shares, and a group that starts a fleet may be the last to begin. Here the tests of a file stay together, in
units that become smaller towards the end, so that all workers end at nearly the same time (guided self-scheduling:
Polychronopoulos and Kuck, 1987).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling

SHARE = 10
"""A unit is at most this part of what would be each worker's share of the tests that are left."""


def groups_first(items: list[pytest.Item]) -> None:
    """Puts the tests of groups, which start whole systems, before the others. Keeps the order among each."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def units(tests: Sequence[str], workers: int) -> Mapping[str, str]:
    """Names the unit of each test, by the tests' ids: a group, or neighbours in one file."""
    found: dict[str, str] = {}
    file, number, room = "", 0, 0
    for done, test in enumerate(tests):
        if group := _group(test):
            found[test] = group
            continue
        if not room or test.partition("::")[0] != file:
            file, number = test.partition("::")[0], number + 1
            room = max(1, (len(tests) - done) // (workers * SHARE))
        found[test] = f"{file} {number}"
        room -= 1
    return found


def _group(test: str) -> str:
    """Gives the group that pytest-xdist has written behind a test's id; an `@` in its parameters is none."""
    return test.rpartition("@")[2] if test.rfind("@") > test.rfind("]") else ""


class NeighbourScheduling(LoadGroupScheduling):
    """Hands out units in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._units: Mapping[str, str] = {}

    def schedule(self) -> None:
        if self.collection is None:
            self._units = units(next(iter(self.registered_collections.values())), self.numnodes)
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._units[nodeid]
