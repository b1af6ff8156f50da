"""Leaves of a trace: transactions of a database and commands to Redis, recorded when they have ended.

They call nobody, so nobody needs their names while they run. That makes them cheap where nobody looks: in a trace that
the head has not sampled, a leaf becomes a span only if it failed, took WORTH seconds, or had to begin again. What
belongs to no trace, such as a relay's polls, is not recorded.
"""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from souk.kernel.context import current
from souk.telemetry.traces import is_plain
from souk.telemetry.tracing.span import Attributes, AttributeValue, SpanKind
from souk.telemetry.tracing.tracer import Tracer

WORTH = 0.1
"""Seconds from which on a leaf is recorded in a trace that is not sampled: the tail may keep the trace."""
TRANSACTION, READ, PREPARE = "transaction", "read", "PREPARE TRANSACTION"
"""What is asked of databases; the last is a transaction that ends prepared."""
_SAMPLED = "1"
_AGAIN, _TOGETHER, _ROLLED_BACK = "souk.db.collisions", "souk.db.committed_together", "souk.db.rolled_back"


class Course(Protocol):
    """How a transaction went. `collisions` counts how often it ran again because it had collided with others, and
    `together` the transactions that shared its commit; 0 if it was not committed with others."""

    collisions: int
    together: int


class LeafSpan(AbstractContextManager["LeafSpan"]):
    """One transaction or command: the block. `attributes` may be given until it ends."""

    __slots__ = ("_course", "_leaves", "_operation", "_parent", "_started", "attributes")

    def __init__(self, leaves: "Leaves", operation: str, parent: str, course: Course | None) -> None:
        self._leaves, self._operation, self._parent, self._course = leaves, operation, parent, course
        self.attributes: dict[str, AttributeValue] | None = None

    def __enter__(self) -> "LeafSpan":
        self._started = self._leaves.tracer.clock.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        parent, course, leaves = self._parent, self._course, self._leaves
        failed = error is not None and isinstance(error, leaves.failures)
        worth = parent[-1] == _SAMPLED or failed or (course is not None and course.collisions)
        if (worth or leaves.tracer.clock.monotonic() - self._started >= WORTH) and is_plain(parent):
            self._record(error, failed=failed)

    def _record(self, error: BaseException | None, *, failed: bool) -> None:
        leaves, course, own = self._leaves, self._course, self.attributes or {}
        name, shared = leaves.about(self._operation)
        if course is not None and course.collisions:
            own[_AGAIN] = course.collisions
        if course is not None and course.together > 1:
            own[_TOGETHER] = course.together
        state = getattr(error.__cause__, "sqlstate", None) if failed and error is not None else None
        if isinstance(state, str):
            own["db.response.status_code"] = state
        if error is not None and not failed:
            own[_ROLLED_BACK] = True
        span = leaves.tracer.start(name, SpanKind.CLIENT, self._parent, {**shared, **own} if own else None, (), shared)
        span.started, span.tracestate = self._started, current().tracestate
        if isinstance(error, asyncio.CancelledError):
            span.end("cancelled", expected=True)
        else:
            span.end(type(error).__name__ if failed else "")


UNRECORDED: AbstractContextManager[LeafSpan | None] = nullcontext()


class Leaves:
    """Records what is asked of one database or cache, by OpenTelemetry's conventions for databases.

    `system` is its kind (`db.system.name`), `namespace` its name, `server` and `port` where it is. An error of one of
    the classes `failures` is its own; any other was raised by the work, which was rolled back.
    """

    def __init__(
        self,
        tracer: Tracer,
        system: str,
        namespace: str = "",
        server: str = "",
        port: int = 0,
        failures: tuple[type[BaseException], ...] = (Exception,),
    ) -> None:
        self.tracer, self.failures = tracer, failures
        self._namespace = namespace
        given: dict[str, AttributeValue] = {
            "db.system.name": system, "db.namespace": namespace, "server.address": server, "server.port": port
        }  # fmt: skip
        self._common = {name: value for name, value in given.items() if value}
        self._known: dict[str, tuple[str, Attributes]] = {}

    def about(self, operation: str) -> tuple[str, Attributes]:
        """Returns the name of an operation's spans, and the attributes that all of them have."""
        known = self._known.get(operation)
        if known is None:
            name = f"{operation} {self._namespace}".rstrip()
            known = self._known[operation] = name, {**self._common, "db.operation.name": operation}
        return known


def leaves_of_redis(tracer: Tracer | None, redis: object) -> Leaves | None:
    """Makes the leaves of what a client of Redis or Valkey asks; none without a tracer.

    The namespace is the number of its database; the server is a host and a port, or a socket's path.
    """
    if tracer is None:
        return None
    about = getattr(getattr(redis, "connection_pool", None), "connection_kwargs", {})
    path = about.get("path", "")
    where = (path, 0) if path else (about.get("host", ""), about.get("port", 0))
    return Leaves(tracer, "redis", str(about.get("db") or ""), *where)


def leaf(
    leaves: Leaves | None, operation: str, course: Course | None = None
) -> AbstractContextManager[LeafSpan | None]:
    """Gives the block for one operation; it is recorded if there are `leaves`, under what is being handled."""
    if leaves is None or not (parent := current().traceparent):
        return UNRECORDED
    return LeafSpan(leaves, operation, parent, course)
