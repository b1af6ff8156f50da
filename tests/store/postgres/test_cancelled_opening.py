"""Opening a database and listening anew, given up at each of their awaits: no connection is left behind."""

import asyncio
import gc
import types
import warnings
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

import asyncpg
import pytest

from souk.store.listeners import Listeners
from souk.store.postgres.database import PostgresDatabase
from souk.store.postgres.listener import PostgresListener
from souk.store.postgres.session import Sessions
from souk.testing.postgres import TemporaryPostgres

MORE_THAN_ALL = 1_000


@types.coroutine
def cancelled_at(work: Coroutine[Any, Any, None], at: int) -> Generator[Any, Any, None]:
    """Awaits `work` in this task, and cancels the task at await number `at` of it, counted from 0."""
    passed: Callable[[], Any] = partial(work.send, None)
    for number in range(MORE_THAN_ALL):
        try:
            future = passed()
        except StopIteration:
            return
        if number == at:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield future
        except BaseException as error:
            passed = partial(work.throw, error)
        else:
            passed = partial(work.send, None)
    raise AssertionError("it never ends")


async def given_up_everywhere(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Cancels the work at each of its awaits in turn, until it ends before that; returns how many awaits it has."""
    for at in range(MORE_THAN_ALL):
        task = asyncio.create_task(cancelled_at(work(), at))
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
            return at
    raise AssertionError("it never ends")


async def nobody_left(server: TemporaryPostgres) -> None:
    """Waits until the server has no session of ours but this one."""
    admin = await asyncpg.connect(server.url())
    try:
        async with asyncio.timeout(120):
            while await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'souk'"):
                await asyncio.sleep(0.01)
    finally:
        await admin.close()


@pytest.fixture(autouse=True)
def _no_warning_of_a_resource() -> Generator[None, None, None]:
    with warnings.catch_warnings(record=True, category=ResourceWarning) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(one.message) for one in caught] == []


async def test_a_database_whose_opening_is_given_up(postgres_server: TemporaryPostgres, postgres_url: str) -> None:
    async def opened() -> None:
        await (await PostgresDatabase.open(postgres_url)).close()

    assert await given_up_everywhere(opened) > 5
    await nobody_left(postgres_server)


async def test_a_listener_that_is_stopped_while_it_connects(
    postgres_server: TemporaryPostgres, postgres_url: str
) -> None:
    sessions = Sessions(postgres_url, 5.0)

    async def listening() -> None:
        listener = PostgresListener(lambda: sessions.connect("SET synchronous_commit = off"), Listeners(), "any")
        await listener.start()
        await listener.stop()

    assert await given_up_everywhere(listening) > 5
    await nobody_left(postgres_server)
