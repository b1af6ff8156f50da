"""The database of a service: one port, two engines, and what is built on it in SQL.

    use case -- run(work) --> Database --> sqlite/    one file, group commit
                  |                   '--> postgres/  SERIALIZABLE, a pool of connections
                  '-- tx: read and write tables, append to the outbox, remember a key, record an event
                      all of it commits together, or none of it does

Parts:

- `database.py` is the port: `Database`, `Transaction`, and the guarantees that one test suite proves for both engines.
- `sqlite/` and `postgres/` are the adapters, each with the table of what every error code of its engine means
  (`error_meaning.py` says what follows from such a meaning).
- `migrations.py` brings a database to the newest schema.
- Built on the port, the same for both engines: `idempotency.py` (a request sent twice is answered once),
  `outbox.py` and `inbox.py` (an event leaves with the change that it tells of, and is handled once),
  `event_store.py` (streams with an expected version), `snapshots.py` (what long streams make),
  `erased_subjects.py` (whose data may not be kept any more).
- `cache/` answers what is read often, from memory and Redis, and never something older than promised.
- `database_clock.py` is the time that all processes of a service agree on.

How one write goes: `run(work)` opens a transaction and calls `work(tx)`. Work that fails leaves nothing behind. Work
that collides with another transaction is called again, so it must do everything through `tx` and await nothing else.
SQLite commits many such works with one write to the disk; PostgreSQL sends the writes of one work in one round trip
where that is possible. `run` returns once the change is durable.
"""
