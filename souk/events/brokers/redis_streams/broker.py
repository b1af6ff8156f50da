"""Redis or Valkey as a broker; the package's docstring says how."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zlib import crc32

from soukapi.v1.event_pb2 import DeliveryResult, Event

from souk.events.broker import BrokerUnavailable, Guarantees, Handle
from souk.events.cloud_events import attributes_of
from souk.kernel.errors import ConfigurationError

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ResponseError

    from souk.events.brokers.redis_streams import scripts
    from souk.events.brokers.redis_streams.consumer import (
        DATA,
        TRIM_EVERY,
        UNREACHABLE,
        GroupConsumer,
        end_if_cancelled,
    )
    from souk.events.brokers.redis_streams.ownership import LEASE, STREAMS, Ownership, stream_of
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    raise ConfigurationError(
        "Redis as a broker needs a client that is not installed: pip install 'souk-platform[redis]'"
    ) from None

PATIENCE = 5.0
"""Seconds until a command or a connection attempt is given up."""
RETENTION = 86_400.0
"""Seconds for which entries that every group has handled are kept for groups to come, unless the URL says another."""


def open_broker(url: str) -> "RedisStreams":
    """Opens the server at `url`, which may have the options `retention` and `lease`, in seconds.

    Raises ConfigurationError for a URL that cannot be read.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        retention, lease = float(options.pop("retention", RETENTION)), float(options.pop("lease", LEASE))
        if not (0 <= retention < inf and 0.1 <= lease < inf):
            raise ValueError
        # Put together by hand, because the standard library would leave out the slashes of unix:///path.
        server = f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if options else ''}{urlencode(options)}"
        return RedisStreams(server, retention, lease)
    except ValueError:
        example = "redis://host:6379?retention=3600&lease=10"
        raise ConfigurationError(f"the broker's URL cannot be read; it is like {example}") from None


class RedisStreams:
    """The broker port on the streams of a Redis or Valkey server."""

    system = "redis"

    def __init__(self, url: str, retention: float = RETENTION, lease: float = LEASE) -> None:
        self._url = url
        self._retention, self._lease = retention, lease
        self._commands = self._client(PATIENCE)
        # One connection for all that is published, so that the server gets it in our order.
        self._publisher = self._client(PATIENCE, max_connections=1)
        self._publishing = asyncio.Lock()
        self._add = self._publisher.register_script(scripts.ADD)
        self._trim = self._publisher.register_script(scripts.TRIM)
        self._trimmed: dict[str, float] = {}

    def _client(self, patience: float, **options: Any) -> "Redis":
        return Redis.from_url(
            self._url,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    async def inspect(self) -> Guarantees:
        """Asks the server whether it writes to its disk before it answers, and whether it may evict."""
        try:
            found = await self._commands.config_get("appendonly", "appendfsync", "maxmemory-policy", "maxmemory")
        except ResponseError:
            return Guarantees(durable="the server does not tell its settings (CONFIG GET is refused)")
        except UNREACHABLE as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        return Guarantees(durable=_not_durable(found))

    async def declare(self, topic: str, groups: Collection[str]) -> None:
        """Makes the streams of a topic with their groups, which begin with the oldest entry that is kept."""
        try:
            async with self._commands.pipeline(transaction=False) as pipeline:
                for number in range(STREAMS):
                    for group in groups:
                        pipeline.xgroup_create(stream_of(topic, number), group, "0", mkstream=True)
                answers = await pipeline.execute(raise_on_error=False)
        except UNREACHABLE as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        for answer in answers:
            if isinstance(answer, Exception) and "BUSYGROUP" not in str(answer):
                raise BrokerUnavailable(f"Redis refuses to make a group: {answer}") from answer

    async def publish(self, topic: str, events: Sequence[Event]) -> Sequence[DeliveryResult]:
        """Adds each event to its key's stream; no event is added behind one of its key that the server refused."""
        if not events:
            return []
        streams = [stream_of(topic, crc32(event.key.encode()) % STREAMS) for event in events]
        words = [word for event in events for word in _words(event)]
        try:
            async with self._publishing:
                await self._trim_at_times(topic)
                answers = await self._add(keys=streams, args=words)
                end_if_cancelled()
        except UNREACHABLE as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        if all(answers):
            raise BrokerUnavailable(f"Redis refuses: {answers[0].decode()}")
        return [DeliveryResult(event_id=event.id) for event, error in zip(events, answers, strict=True) if not error]

    async def _trim_at_times(self, topic: str) -> None:
        """Removes old events of a topic once in TRIM_EVERY seconds: it may have no consumer that does."""
        now = monotonic()
        if now - self._trimmed.get(topic, -inf) < TRIM_EVERY:
            return
        for number in range(STREAMS):
            await self._trim(keys=[stream_of(topic, number)], args=[round(self._retention * 1000)])
            end_if_cancelled()
        self._trimmed[topic] = now

    async def consume(self, topic: str, group: str, handle: Handle, types: Collection[str] = ()) -> None:
        """Consumes until it is cancelled."""
        waits, commands = self._client(PATIENCE), self._client(PATIENCE)
        try:
            ownership = Ownership(commands, topic, group, self._lease)
            declare = partial(self.declare, topic, [group])
            await GroupConsumer(commands, waits, ownership, handle, types, declare, self._retention).run()
        finally:
            with suppress(*UNREACHABLE):
                await waits.aclose()
                await commands.aclose()

    @property
    def backlog_means(self) -> str:
        return "Redis Streams: what was not delivered yet or not acknowledged"

    async def backlog(self, topic: str, group: str) -> int:
        """Returns the entries that were not delivered yet or not acknowledged, over the streams that the topic has."""
        try:
            async with self._commands.pipeline(transaction=False) as pipeline:
                for number in range(STREAMS):
                    pipeline.xinfo_groups(stream_of(topic, number))
                answers = await pipeline.execute(raise_on_error=False)
        except UNREACHABLE as error:
            raise BrokerUnavailable(f"Redis does not answer: {error}") from error
        for answer in answers:
            if isinstance(answer, Exception) and "no such key" not in str(answer):
                raise BrokerUnavailable(f"Redis cannot tell what waits: {answer}") from answer
        answers = [answer for answer in answers if not isinstance(answer, Exception)]
        wanted = [found for groups in answers for found in groups if found["name"] == group.encode()]
        return sum((found["lag"] or 0) + found["pending"] for found in wanted)

    async def close(self) -> None:
        """Closes the connections."""
        for client in (self._commands, self._publisher):
            with suppress(*UNREACHABLE):
                await client.aclose()


def _words(event: Event) -> list[str | bytes]:
    """Returns the arguments of the script for one event: its key, the number of its fields, and these."""
    fields: list[str | bytes] = [word for pair in attributes_of(event).items() for word in pair]
    return [event.key, str(len(fields) + 2), *fields, DATA, event.payload]


def _not_durable(found: Mapping[str | None, str | None]) -> str:
    if found.get("appendonly") != "yes":
        return "appendonly is off: what was stored is lost when the server ends"
    if found.get("appendfsync") != "always":
        return f"appendfsync is {found.get('appendfsync')}, not always: what was stored just now is lost in a crash"
    if found.get("maxmemory", "0") != "0" and found.get("maxmemory-policy") != "noeviction":
        return f"maxmemory-policy is {found.get('maxmemory-policy')}, not noeviction: events may be evicted"
    return ""
