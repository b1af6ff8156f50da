"""The pipeline of a method whose answers are cached: rate limits hold for every request, the call is made for few."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from souk.descriptors.contract import Access, Method
from souk.gateway.auth.cookies import ACCESS
from souk.gateway.endpoint import Pipeline
from souk.gateway.http.answers import Answer
from souk.gateway.http.request import Request
from souk.gateway.public_reads.read_cache import PublicReadCache
from souk.gateway.public_reads.request_directives import oldest_wanted
from souk.kernel.context import Caller


@dataclass(frozen=True, slots=True)
class CachedPipeline(Pipeline):
    """Answers anonymous requests from a cache. Whoever sends credentials is answered by the service itself; so is a
    tester of a canary.

    No answer that is older than `max_age` seconds is given, if the contract says one.
    """

    cache: PublicReadCache
    max_age: float | None

    @classmethod
    def of(cls, stages: Pipeline, cache: PublicReadCache) -> "CachedPipeline":
        """Puts a cache into a pipeline."""
        max_age = stages.transcoder.method.policy.max_age
        return cls(stages.transcoder, stages.admission, stages.backend, stages.clock, cache, max_age)

    async def __call__(self, request: Request, captures: Sequence[str | None]) -> Answer:
        oldest = None if request.has_body or request.releases or _has_credentials(request) else _oldest(request)
        if oldest is not None and self.max_age is not None:
            oldest = min(oldest, self.max_age)
        if oldest is None:
            self.cache.passed_by()
            return await Pipeline.__call__(self, request, captures)
        caller = await self.admission.admit(request)
        call = partial(self._called, request, captures, caller)
        return await self.cache.answer((request.path, request.query), oldest, call)

    async def _called(self, request: Request, captures: Sequence[str | None], caller: Caller) -> Answer:
        message, context = await self.prepared(request, captures, caller)
        reply, headers = await self.backend.call(self.transcoder.method, message, context)
        return self.transcoder.answer(reply, headers)


def cacheable(method: Method) -> bool:
    """Whether a method's answers depend on nothing but the path and the query, by its contract.

    A count by account needs the request's message each time; headers of the service's own might be cookies, or say
    themselves what may be kept.
    """
    policy = method.policy
    return (
        policy.access is Access.ANYONE
        and method.read_only
        and method.unary
        and policy.max_age != 0
        and not (policy.no_store or policy.rate_field or policy.idempotency_field or policy.response_headers)
    )


def _oldest(request: Request) -> float | None:
    return oldest_wanted(request.header(b"cache-control"))


def _has_credentials(request: Request) -> bool:
    """Whoever changes something does it with credentials, and then must read what was written."""
    return bool(request.header(b"authorization") or request.header(b"x-api-key") or ACCESS in request.header(b"cookie"))
