"""The transactional outbox: an event commits together with the change of state that it reports, or not at all.

A relay (`souk.events.relay`) delivers the rows to their consumers afterwards.
Source: Chris Richardson, "Pattern: Transactional outbox".
"""

from zlib import crc32

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from souk.descriptors.event_contract import require_event
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.kernel.ids import new_id
from souk.store.database import Transaction
from souk.telemetry.tracing.messaging import message_attributes
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tracer import Tracer

PARTITIONS = 64
CHANNEL = "souk_outbox"
"""The channel that `publish` notifies and a relay listens to."""
MAX_PAYLOAD = 1 << 20

_INSERT = """
    INSERT INTO souk_outbox (id, type, source, key, partition, time, payload, traceparent, tracestate)
    SELECT $1, $2, $3, $4, CAST($5 AS BIGINT), CAST($6 AS BIGINT), $7, $8, $9 WHERE {hold}
    ON CONFLICT (id) DO NOTHING
"""


def partition_of(key: str) -> int:
    """Returns the partition of a key. It must never change: the order of a key's events depends on it."""
    return crc32(key.encode()) % PARTITIONS


class Outbox:
    """The outbox of the service `source`, in which it publishes events: with a `contract`, those of the contract.

    `tracer` records each event, and its span becomes the parent of what consumers do with it.
    """

    def __init__(
        self, source: str, clock: Clock, contract: ServiceDescriptor | None = None, tracer: Tracer | None = None
    ) -> None:
        self._source = source
        self._tracer = tracer
        self._clock = clock
        self._contract = contract

    async def publish(self, tx: Transaction, key: str, payload: Message, *, event_id: str | None = None) -> None:
        """Writes an event in `tx`: if `tx` commits, the event reaches every consumer of its type; else it reaches none.

        Events of one key reach each consumer in the order in which their transactions committed. An
        `event_id` that was published before is not published again. Raises ValueError for a payload
        of more than 1 MiB, which no call could carry, and for one that is no event of the contract.
        """
        if self._contract is not None:
            require_event(payload, key, self._contract)
        data = payload.SerializeToString()
        if len(data) > MAX_PAYLOAD:
            raise ValueError(
                f"event {payload.DESCRIPTOR.full_name} is {len(data)} bytes long; the limit is {MAX_PAYLOAD}"
            )
        id_ = event_id or new_id("EVT", self._clock)
        # Sequence numbers are assigned before the commit: without the lock, two transactions with one
        # key could commit in the opposite order of their numbers.
        await tx.write(
            _INSERT.format(hold=tx.dialect.hold.format("'souk_outbox:' || $4")),
            id_,
            payload.DESCRIPTOR.full_name,
            self._source,
            key,
            partition_of(key),
            self._clock.now(),
            data,
            self._trace(tx, payload.DESCRIPTOR.full_name, id_),
            current().tracestate,
        )
        await tx.notify(CHANNEL)

    def _trace(self, tx: Transaction, type_: str, event_id: str) -> str:
        """Returns the `traceparent` for an event: that of a span, recorded once the event is there, or the caller's."""
        call = current()
        if self._tracer is None:
            return call.traceparent
        span = self._tracer.start(
            f"create {type_}",
            SpanKind.PRODUCER,
            call.traceparent,
            {**message_attributes("create", type_), "messaging.message.id": event_id},
        )
        span.tracestate = call.tracestate
        tx.after_commit(span.end)
        return span.traceparent
