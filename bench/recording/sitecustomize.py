"""Records each fleet process's statements for its database and its calls; Python imports this module at start.

If this folder is on PYTHONPATH and BENCH_RECORD names a folder, each process writes `<pid>.pickle` there:
`(name, statements, calls)`. A statement is (began, ended, connection, database, kind, sql, values), a call
(time of the answer, caller, method, octets out, octets in); times are monotonic.
"""

import atexit
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

_FOLDER = os.environ.get("BENCH_RECORD")
_KINDS = ("execute", "executemany", "fetch", "fetchrow")
_statements: list[tuple[float, float, int, str, str, str, Any]] = []
_calls: list[tuple[float, str, str, int, int]] = []


def _record_statements() -> None:
    from asyncpg.connection import Connection

    for kind in _KINDS:
        setattr(Connection, kind, _recorded(kind, getattr(Connection, kind)))


def _recorded(kind: str, original: Any) -> Any:
    async def recorded(self: Any, sql: str, *values: Any, **options: Any) -> Any:
        began = time.monotonic()
        try:
            return await original(self, sql, *values, **options)
        finally:
            if kind == "executemany":
                values = (list(values[0]), *values[1:])
            one = (began, time.monotonic(), id(self), self._params.database, kind, sql, values)
            _statements.append(one)

    recorded.__name__ = kind
    return recorded


def _record_calls() -> None:
    from souk.rpc.connect.client_connection import ClientConnection

    original = ClientConnection._answered

    def answered(self: Any, reply: Any) -> None:
        octets = len(self._reader.body) + sum(len(name) + len(value) for name, value in self._reader.headers)
        call = reply.call
        sent = len(call.request) + sum(len(name) + len(value) for name, value in call.metadata)
        _calls.append((time.monotonic(), sys.argv[-1], call.method.full_name, sent, octets))
        original(self, reply)

    ClientConnection._answered = answered  # type: ignore[method-assign]  # watched from outside, while it is measured


def _write(folder: str) -> None:
    if _statements or _calls:
        name = sys.argv[-1]
        (Path(folder) / f"{os.getpid()}.pickle").write_bytes(pickle.dumps((name, _statements, _calls)))


# Only in services and gateways: the supervisor and the launcher of an engine have nothing to record.
if _FOLDER and "serve" in sys.orig_argv:
    _record_statements()
    _record_calls()
    atexit.register(_write, _FOLDER)
