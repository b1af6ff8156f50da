"""Who is woken by a commit that notifies, in this process and in others."""

import asyncio

from souk.store.database import Transaction
from souk.store.postgres.database import PostgresDatabase


async def test_everybody_is_woken_here_once_at_once_and_elsewhere_soon(postgres_url: str) -> None:
    here, there = await PostgresDatabase.open(postgres_url), await PostgresDatabase.open(postgres_url)
    woken, heard, counted = list[str](), asyncio.Event(), asyncio.Event()
    here.listen("news", lambda: woken.append("news"))
    there.listen("news", heard.set)
    there.listen("more", counted.set)
    await here.run(lambda tx: tx.notify("news"))
    assert woken == ["news"], "without a way over the server"
    await asyncio.wait_for(heard.wait(), 30)
    await here.run(lambda tx: tx.notify("more"))
    await asyncio.wait_for(counted.wait(), 30)
    assert woken == ["news"], "its own notification does not come back"
    await here.close()
    await there.close()


async def test_what_was_rolled_back_wakes_nobody(postgres_url: str) -> None:
    database = await PostgresDatabase.open(postgres_url)
    woken = list[str]()
    database.listen("news", lambda: woken.append("news"))

    async def work(tx: Transaction) -> None:
        await tx.notify("news")
        raise LookupError

    try:
        await database.run(work)
    except LookupError:
        await database.close()
    assert woken == []


async def test_the_last_notification_goes_out_before_the_end(postgres_url: str) -> None:
    here, there = await PostgresDatabase.open(postgres_url), await PostgresDatabase.open(postgres_url)
    heard = asyncio.Event()
    there.listen("news", heard.set)
    await here.run(lambda tx: tx.notify("news"))
    await here.close()
    await asyncio.wait_for(heard.wait(), 30)
    await there.close()
