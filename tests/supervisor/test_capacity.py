"""Which processes there should be, and how many connections they may open."""

import pytest

from souk.kernel.errors import ConfigurationError
from souk.runtime.config import entry_points
from souk.supervisor.capacity import (
    LEAST_POOL,
    MOST_REPLICAS,
    ROOM,
    next_number,
    own_connections,
    replicas,
    shared_connections,
)

SERVICES = entry_points.app(None).services


def test_one_of_each_and_a_gateway_unless_told_otherwise() -> None:
    assert set(replicas(SERVICES, {}).values()) == {1}
    assert replicas(SERVICES, {"order": 3, "gateway": 2}) == {
        **{service.name: 1 for service in SERVICES},
        "order": 3,
        "gateway": 2,
    }


def test_a_service_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="no service 'ordr' in this fleet; the nearest is 'order'"):
        replicas(SERVICES, {"ordr": 2})


@pytest.mark.parametrize("count", [0, MOST_REPLICAS + 1])
def test_a_number_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(ConfigurationError, match=f"1 to {MOST_REPLICAS} processes, not {count}"):
        replicas(SERVICES, {"order": count})


def test_numbers_are_the_lowest_that_are_free() -> None:
    assert [next_number(taken) for taken in ((), {1}, {2, 3}, {1, 2, 4})] == [1, 2, 1, 3]


def test_a_server_of_our_own_has_room_to_grow() -> None:
    connections = own_connections(5, 10)
    connections.require_room(5 + ROOM)
    with pytest.raises(ConfigurationError, match=f"enough for {5 + ROOM} processes with a pool of 10, not for 22"):
        connections.require_room(5 + ROOM + 1)


def test_a_given_server_with_few_connections_makes_the_pools_smaller() -> None:
    assert shared_connections(5, 10, 200).pool == 10
    assert shared_connections(5, 10, 50).pool == 6
    assert shared_connections(5, 10, 20).pool == LEAST_POOL


def test_more_processes_than_a_given_server_can_take_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="PostgreSQL has 20 connections, enough for 2 processes"):
        shared_connections(5, 10, 20).require_room(5)
