"""`kill -9` every second, under load: to a process of each part in turn, in random order."""

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest

from souk.testing.system import until
from tests.fleet.conftest import PRICE, Bazaar
from tests.market.books import Books
from tests.market.buyers import Crowd, Wishes, counted

CLIENTS = 4
EVERY = 1.0
ENDS = {(201, "CONFIRMED")}
PATIENCE = 180.0
ATTEMPTS = 5


def _kill(bazaar: Bazaar, seconds: int, seed: int) -> None:
    victims, killed = _victims(bazaar, random.Random(seed)), []
    with Crowd(bazaar.shop.url, bazaar.wishes(f"kills-{seed}"), clients=CLIENTS) as crowd:
        for turn in count():
            # A machine on which the dead take long to be back has fewer whom it can kill in a second.
            if turn >= seconds and len(killed) >= seconds / 2:
                break
            time.sleep(EVERY)
            victim = next(victims)
            with suppress(ProcessLookupError, TypeError):  # it is dead already
                bazaar.operator.kill(victim)
                killed.append(f"{turn} {victim}")
    print(f"\n{len(killed)} killed: {killed}\n{counted(crowd.answers)}")
    _all_confirmed(bazaar, crowd)


def _all_confirmed(bazaar: Bazaar, crowd: Crowd) -> None:
    ends = {key: answers[-1].outcome for key, answers in crowd.ends().items() if answers}
    assert ends.keys() == crowd.ends().keys(), "everybody got an answer"
    assert set(ends.values()) <= ENDS
    bazaar.kept(crowd)


def _victims(bazaar: Bazaar, chance: random.Random) -> Iterator[str]:
    """Gives processes to kill, in rounds of one of each service."""
    parts: dict[str, list[str]] = {}
    for one in bazaar.operator.ps():
        if one["kind"] in ("service", "gateway"):
            parts.setdefault(one["service"], []).append(one["instance"])
    while True:
        for part in chance.sample(sorted(parts), len(parts)):
            yield chance.choice(sorted(parts[part]))


@pytest.mark.full
def test_whoever_is_killed_every_order_ends_once(bazaar: Bazaar) -> None:
    _kill(bazaar, 4, 1)


def test_orders_that_are_half_done_when_their_process_dies_are_ended_by_another(bazaar: Bazaar) -> None:
    # Their bank takes 3 s; most orders are over before anybody could strike.
    patient = Wishes([bazaar.shop.buyer("tok_slow")], [(bazaar.product, 1, PRICE)], "patient")
    # On a busy machine those of the one that is killed may be over, or not begun, all the same.
    assert any(_left_to_others(bazaar, patient) for _ in range(ATTEMPTS))


def _left_to_others(bazaar: Bazaar, patient: Wishes) -> int:
    """Kills a process of Order while it has orders; gives how many others took over. Each must be confirmed."""
    with Crowd(bazaar.shop.url, patient, clients=CLIENTS, most=CLIENTS) as crowd:
        under_way = lambda: _runs(bazaar, "NOT ended AND NOT parked") >= CLIENTS  # noqa: E731
        until(lambda: under_way() or crowd.answers, PATIENCE, "all are on their way, or one has arrived")
        bazaar.operator.kill(bazaar.operator.instances("order")[0])
        crowd.finish()
    _all_confirmed(bazaar, crowd)
    bazaar.operator.await_ready()
    orders = {f"'{answers[-1].order_id}'" for answers in crowd.ends().values()}
    left = _runs(bazaar, f"epoch > 1 AND subject IN ({', '.join(orders)})")
    print(f"\n{left} of {CLIENTS} were left to others: {counted(crowd.answers)}")
    return left


def _runs(bazaar: Bazaar, such: str) -> int:
    """Counts the runs of Order's sagas that satisfy a condition."""
    (row,) = Books(bazaar.system.data).rows("order", f"SELECT count(*) AS n FROM souk_saga_run WHERE {such}")
    return int(row["n"])


@pytest.mark.full
@pytest.mark.parametrize("seed", [2, 3])
def test_a_minute_of_kills_leaves_every_order_ended_once(bazaar: Bazaar, seed: int) -> None:
    _kill(bazaar, 60, seed)
