"""`kill -9` to a random process every second, under load."""

import random
import time
from contextlib import suppress

import pytest

from tests.fleet.conftest import Bazaar
from tests.market.buyers import Crowd, counted

CLIENTS = 4
EVERY = 1.0
ENDS = {(201, "CONFIRMED")}


def _kill(bazaar: Bazaar, seconds: int, seed: int) -> None:
    chance, killed = random.Random(seed), []
    victims = sorted(one["instance"] for one in bazaar.operator.ps() if one["kind"] in ("service", "gateway"))
    with Crowd(bazaar.shop.url, bazaar.wishes(f"kills-{seed}"), clients=CLIENTS) as crowd:
        for turn in range(seconds):
            time.sleep(EVERY)
            victim = chance.choice(victims)
            with suppress(ProcessLookupError, TypeError):  # it is dead already
                bazaar.operator.kill(victim)
                killed.append(f"{turn} {victim}")
    print(f"\n{len(killed)} killed: {killed}\n{counted(crowd.answers)}")
    assert len(killed) >= seconds / 2
    ends = {key: answers[-1].outcome for key, answers in crowd.ends().items() if answers}
    assert ends.keys() == crowd.ends().keys(), "everybody got an answer"
    assert set(ends.values()) <= ENDS


def test_whoever_is_killed_every_order_ends_once(bazaar: Bazaar) -> None:
    _kill(bazaar, 4, 1)


@pytest.mark.full
@pytest.mark.parametrize("seed", [2, 3])
def test_a_minute_of_kills_leaves_every_order_ended_once(bazaar: Bazaar, seed: int) -> None:
    _kill(bazaar, 60, seed)
