"""Makes the handlers of what everybody may read."""

from prometheus_client import CollectorRegistry

from souk.descriptors.contract import Access
from souk.gateway.endpoint import Handle, Pipeline
from souk.gateway.public_reads.cached_pipeline import CachedPipeline, cacheable
from souk.gateway.public_reads.read_cache import PublicReadCache
from souk.gateway.public_reads.tagged import CompressedAnswers, PublicRead
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import Clock


class PublicReads:
    """Puts tags and compression around what is public, and a cache if the settings say so."""

    def __init__(self, settings: GatewaySettings, registry: CollectorRegistry, clock: Clock) -> None:
        self._compressed = CompressedAnswers()
        self._cache: PublicReadCache | None = None
        if settings.read_cache:
            self._cache = PublicReadCache(settings.read_cache, settings.read_cache_bytes, clock)
            registry.register(self._cache)

    def document(self, handle: Handle) -> Handle:
        """Makes the handler of a public document."""
        return PublicRead(handle, self._compressed)

    def handler(self, verb: str, stages: Pipeline) -> Handle:
        """Makes the handler of a method's route: its pipeline as it is, unless everybody may read its answers."""
        method = stages.transcoder.method
        if verb != "GET" or method.policy.access is not Access.ANYONE or method.policy.no_store:
            return stages
        if self._cache is not None and cacheable(method):
            stages = CachedPipeline.of(stages, self._cache)
        return PublicRead(stages, self._compressed)
