"""The databases that tests are given are as if they had been migrated."""

from pathlib import Path

from marketplace.product.service import service
from souk.kernel.clock import SystemClock
from souk.store.migrations import PLATFORM, pending, platform_migrations
from souk.store.sqlite.database import SqliteDatabase
from souk.testing.store.migrated import migrated_sqlite

SCHEMA = "SELECT sql FROM sqlite_master ORDER BY type, name"


async def schema(database: SqliteDatabase) -> list[object]:
    return [row["sql"] for row in await database.read(lambda tx: tx.fetch(SCHEMA))]


async def test_a_new_one_lacks_no_migration_and_is_its_owners_alone(tmp_path: Path) -> None:
    database = await migrated_sqlite(tmp_path / "product.db", SystemClock(), service)
    assert service.migrations is not None
    assert not await pending(database, platform_migrations(), PLATFORM)
    assert not await pending(database, service.migrations, service.name)
    assert (tmp_path / "product.db").stat().st_mode & 0o777 == 0o600
    await database.close()


async def test_one_that_is_there_is_kept_and_gets_what_it_lacks(tmp_path: Path) -> None:
    fresh = await migrated_sqlite(tmp_path / "fresh.db", SystemClock(), service)
    before = await migrated_sqlite(tmp_path / "product.db", SystemClock())
    await before.run(lambda tx: tx.execute("CREATE TABLE own (id BIGINT)"))
    await before.close()
    after = await migrated_sqlite(tmp_path / "product.db", SystemClock(), service)
    assert [one for one in await schema(after) if "TABLE own" not in str(one)] == await schema(fresh)
    assert len(await schema(after)) == len(await schema(fresh)) + 1
    await fresh.close()
    await after.close()
