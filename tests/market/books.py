"""Reads the databases of a system from outside."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import redis
from shop.order.v1 import order_pb2

from souk.runtime.data.layout import DataLayout
from tests.market.rows import Row, on_postgres, postgres_rows, server_rows, sqlite_rows

DATABASES = ("product", "user", "inventory", "payment", "order")


@dataclass(frozen=True)
class Books:
    """The data directory of a system that runs, or was stopped. `bank` is the book of a bank outside of it.

    `server` is the URL of its databases, with `{service}` for the service's name, where they are not in the directory.
    """

    data: Path
    bank: Path | None = None
    server: str | None = None

    def rows(self, database: str, sql: str, *values: object) -> list[Row]:
        """Reads rows of a service's database."""
        if database == "bank":
            return sqlite_rows((self.bank or self.data / "payment") / "sandbox-bank.db", sql, *values)
        if self.server is not None:
            return server_rows(self.server.replace("{service}", database), sql, *values)
        if on_postgres(self.data):
            return postgres_rows(self.data, database, sql, *values)
        return sqlite_rows(self.data / f"{database}.db", sql, *values)

    def orders(self) -> list[order_pb2.Order]:
        """Gives the orders, as their buyers see them."""
        sql = "SELECT body FROM orders WHERE generation = (SELECT generation FROM souk_generation WHERE is_live)"
        return [order_pb2.Order.FromString(row["body"]) for row in self.rows("order", sql)]

    def history(self, order_id: str) -> list[str]:
        """Gives the events of an order."""
        sql = "SELECT type FROM souk_event_store WHERE stream = ? ORDER BY version"
        return [row["type"] for row in self.rows("order", sql, order_id)]

    def histories(self) -> dict[str, list[str]]:
        """Gives the events of each order."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in self.rows("order", "SELECT stream, type FROM souk_event_store ORDER BY stream, version"):
            found[row["stream"]].append(row["type"])
        return found

    def events(self) -> list[Row]:
        """Gives the events that services have published."""
        sql = "SELECT id, type, key, payload FROM souk_outbox ORDER BY seq"
        return [{**row, "database": name} for name in DATABASES for row in self.rows(name, sql)]

    def unrest(self) -> list[str]:
        """Lists what is still under way."""
        return [*self._open_sagas(), *self._undelivered(), *self._in_the_bus(), *self._open_money()]

    def parked(self) -> list[str]:
        """Lists what is parked for an operator."""
        sagas = self.rows("order", "SELECT saga, subject FROM souk_saga_run WHERE parked")
        sql = "SELECT consumer, reason FROM souk_outbox_delivery WHERE state = 'parked'"
        events = [row for name in DATABASES for row in self.rows(name, sql)]
        return [f"parked: {row}" for row in (*sagas, *events)]

    def _open_sagas(self) -> Iterable[str]:
        rows = self.rows("order", "SELECT saga, subject, phase FROM souk_saga_run WHERE NOT ended AND NOT parked")
        return [f"a saga is open: {row}" for row in rows]

    def _undelivered(self) -> Iterable[str]:
        for name in DATABASES:
            routes = self.rows(name, "SELECT count(*) AS n FROM souk_outbox WHERE NOT routed")
            sql = "SELECT count(*) AS n FROM souk_outbox_delivery WHERE state = 'pending'"
            if waiting := routes[0]["n"] + self.rows(name, sql)[0]["n"]:
                yield f"{waiting} events of {name} are under way"

    def _in_the_bus(self) -> Iterable[str]:
        """What a fleet's own bus has still to deliver."""
        socket = DataLayout(self.data.resolve()).bus_socket
        if not socket.exists():
            return
        try:
            with redis.Redis(unix_socket_path=str(socket), socket_timeout=10.0) as client:
                streams = client.scan_iter(_type="stream", count=1_000)
                groups = [group for stream in streams for group in client.xinfo_groups(stream)]
        except redis.RedisError as error:
            yield f"the bus is away: {error}"
            return
        for group in groups:
            if waiting := group["pending"] + (group["lag"] or 0):
                yield f"{waiting} events are in the bus for {group['name'].decode()}"

    def _open_money(self) -> Iterable[str]:
        open_ = "next_try_at IS NOT NULL OR status = 'PENDING'"
        payments = self.rows("payment", f"SELECT id, status FROM payments WHERE {open_}")
        refunds = self.rows("payment", "SELECT id FROM refunds WHERE NOT done")
        return [f"money is moving: {row}" for row in (*payments, *refunds)]
