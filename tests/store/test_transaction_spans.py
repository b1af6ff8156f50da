"""Transactions as spans, on both engines: one each, whatever becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from souk.kernel.context import CallContext, use
from souk.store.database import Database, Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.store.sqlite.database import SqliteDatabase
from souk.telemetry.tracing.span import Span
from souk.testing.recorded_spans import RecordedSpans

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A file, or the URL of a database."""
    return tmp_path / "order.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(where: Path | str, spans: RecordedSpans) -> AsyncIterator[Database]:
    tracer = spans.tracer("order")
    opened: Database
    if isinstance(where, Path):
        opened = await SqliteDatabase.open(where, tracer=tracer)
    else:
        opened = await PostgresDatabase.open(where, tracer=tracer)
    await opened.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, n BIGINT NOT NULL)"))
    assert spans.ended == []  # in no trace
    with use(CallContext(traceparent=PARENT)):
        yield opened
    await opened.close()


async def put(tx: Transaction, name: str = "a") -> None:
    await tx.write("INSERT INTO item (name, n) VALUES ($1, 0)", name)


def about(span: Span) -> tuple[str, str, str]:
    operation = span.attributes["db.operation.name"]
    assert (span.kind.name, span.parent_id) == ("CLIENT", PARENT[36:52])
    assert span.name == f"{operation} {span.attributes['db.namespace']}"
    return str(span.attributes["db.system.name"]), str(operation), span.error


async def test_each_transaction_is_one_span(database: Database, spans: RecordedSpans) -> None:
    async def two(tx: Transaction) -> None:
        await put(tx, "a")
        await put(tx, "b")

    await database.run(two)
    await database.read(lambda tx: tx.fetch("SELECT * FROM item"))
    await database.read(lambda tx: tx.fetch_one("SELECT count(*) AS n FROM item"), single=True)
    system = {"sqlite": "sqlite", "postgres": "postgresql"}[database.dialect.name]
    assert [about(one) for one in spans.ended] == [
        (system, "transaction", ""),
        (system, "read", ""),
        (system, "read", ""),
    ]
    if system == "postgresql":
        assert spans.ended[0].attributes["server.address"]


async def test_one_that_its_work_gives_up_is_rolled_back_and_no_failure(
    database: Database, spans: RecordedSpans
) -> None:
    async def refuse(tx: Transaction) -> None:
        await put(tx)
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(refuse)
    (span,) = spans.ended
    assert (span.error, span.attributes["souk.db.rolled_back"]) == ("", True)


async def test_those_that_were_committed_as_one_say_so(database: Database, spans: RecordedSpans) -> None:
    works = [lambda tx, name=name: put(tx, name) for name in "abcdef"]
    await asyncio.gather(*(database.run(work, guarded=True, grouped=True) for work in works))
    assert [one.attributes.get("souk.db.committed_together") for one in spans.ended] == [6] * 6


async def test_one_that_collided_counts_how_often(spans: RecordedSpans, postgres_url: str) -> None:
    database = await PostgresDatabase.open(postgres_url, tracer=spans.tracer("order"))
    await database.run(lambda tx: tx.execute("CREATE TABLE item (name TEXT PRIMARY KEY, n BIGINT NOT NULL)"))
    await database.run(put)

    async def add(tx: Transaction) -> None:
        row = await tx.fetch_one("SELECT n FROM item WHERE name = 'a'")
        assert row is not None
        await tx.execute("UPDATE item SET n = $1 WHERE name = 'a'", row["n"] + 1)

    with use(CallContext(traceparent=PARENT)):
        await asyncio.gather(*(database.run(add) for _ in range(6)))
    again = [int(one.attributes.get("souk.db.collisions", 0)) for one in spans.ended]  # type: ignore[arg-type]  # a count
    assert len(again) == 6
    assert sum(again) == database.tries_again > 0
    await database.close()


async def test_a_database_that_fails_says_how(spans: RecordedSpans, postgres_url: str) -> None:
    database = await PostgresDatabase.open(postgres_url, tracer=spans.tracer("order"))
    with use(CallContext(traceparent=PARENT)), pytest.raises(Exception, match="item"):
        await database.run(lambda tx: tx.execute("SELECT * FROM item"))
    (span,) = spans.ended
    assert (span.reason, span.attributes["db.response.status_code"]) == ("failed", "42P01")
    assert span.error
    await database.close()
