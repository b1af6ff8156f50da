"""The cache of public reads: a shared cache in memory (RFC 9111), which collapses calls for the same answer."""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cachetools import LRUCache
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from souk.gateway.http.answers import Answer, HttpAnswer
from souk.gateway.public_reads.shared_call import SharedCall
from souk.kernel.clock import Clock

Key = tuple[str, bytes]
"""The path and the query of a request, as they were sent."""
_OVERHEAD = 1_024
"""Bytes that an answer takes beside its body and its key: objects, headers, and its place."""
HIT, MISS, COLLAPSED, BYPASS = "hit", "miss", "collapsed", "bypass"


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer, and when the call that gave it began. What happened after that may be missing in it."""

    began: float
    answer: HttpAnswer
    size: int


class PublicReadCache(Collector):
    """Keeps answers fresh for `seconds`, at most `most` bytes of them; the one that was used longest ago goes first.

    The age of an answer counts from the beginning of its call, and a call that has run for longer than `seconds` is
    joined by nobody: what a client gets was read from the service at most `seconds` before its request came. Only
    whole answers with status 200 are kept, so no failure is.
    """

    def __init__(self, seconds: float, most: int, clock: Clock) -> None:
        self._seconds, self._clock = seconds, clock
        self._stored: LRUCache[Key, StoredAnswer] = LRUCache(most, getsizeof=lambda stored: stored.size)
        self._running: dict[Key, SharedCall] = {}
        self._counts = dict.fromkeys((HIT, MISS, COLLAPSED, BYPASS), 0)

    async def answer(self, key: Key, oldest: float, call: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Returns an answer that is at most `oldest` seconds old: a stored one, that of a running call, or a new one.

        Raises what the call raises.
        """
        now, lifetime = self._clock.monotonic(), min(self._seconds, oldest)
        stored = self._stored.get(key)
        if stored is not None and now - stored.began < lifetime:
            self._counts[HIT] += 1
            age = (b"age", b"%d" % (now - stored.began))
            return replace(stored.answer, headers=[*stored.answer.headers, age])
        shared = self._running.get(key)
        if shared is not None and now - shared.began < lifetime and not shared.abandoned:
            self._counts[COLLAPSED] += 1
            return await shared.answer()
        self._counts[MISS] += 1
        shared = self._running[key] = SharedCall(now, call())
        shared.task.add_done_callback(partial(self._ended, key, shared))
        return await shared.answer()

    def passed_by(self) -> None:
        """Counts a request that must not be answered from the cache."""
        self._counts[BYPASS] += 1

    def _ended(self, key: Key, shared: SharedCall, _: object) -> None:
        if self._running.get(key) is shared:
            del self._running[key]
        if not shared.task.cancelled() and shared.task.exception() is None:
            self._store(key, shared.began, shared.task.result())

    def _store(self, key: Key, began: float, answer: Answer) -> None:
        if not isinstance(answer, HttpAnswer) or answer.status != 200:
            return
        stored = self._stored.get(key)
        if stored is not None and stored.began > began:
            return  # that one was asked for later
        size = len(answer.body) + len(key[0]) + len(key[1]) + _OVERHEAD
        if size <= self._stored.maxsize:
            self._stored[key] = StoredAnswer(began, answer, size)

    def collect(self) -> Iterable[Metric]:
        """Gives the counts, for a scrape."""
        requests = CounterMetricFamily(
            "souk_gateway_cache_requests", "Public reads, by how the cache answered.", labels=("result",)
        )
        for result, number in self._counts.items():
            requests.add_metric([result], number)
        yield requests
        yield GaugeMetricFamily("souk_gateway_cache_bytes", "Bytes of stored answers.", value=self._stored.currsize)
