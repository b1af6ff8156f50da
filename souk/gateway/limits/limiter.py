"""The limits of a method, as the gateway's pipeline asks for them."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from weakref import WeakSet

from google.protobuf.message import Message
from prometheus_client.registry import Collector

from souk.descriptors.contract import Method
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.limits.counts import LimitCounts
from souk.gateway.limits.policy import OF_ACCOUNTS, Client, LimitPolicy
from souk.gateway.limits.store import Quota, QuotaStore, Wanted
from souk.kernel.context import CallContext, use

RATE_LIMITED = "RATE_LIMITED"
VIOLATED = "violated-policies"
"""The member of the problem that names the policies, as the draft of the header fields calls it."""


class LimitMode(StrEnum):
    """What limits do."""

    ENFORCE = "enforce"
    """Requests beyond a limit are refused."""
    REPORT = "report"
    """No request is refused; those that would be are counted, and marked in the log."""
    OFF = "off"
    """Nothing is counted."""


@dataclass(slots=True)
class RateLimits:
    """The limits of a gateway: its policies, by name, and the store that counts.

    `base` are the policies that it began with; `use` puts others into force.
    """

    policies: Mapping[str, LimitPolicy]
    store: QuotaStore
    mode: LimitMode
    counts: LimitCounts
    collectors: tuple[Collector, ...] = ()
    base: tuple[LimitPolicy, ...] = ()
    _methods: "WeakSet[MethodLimits]" = field(default_factory=WeakSet, init=False, repr=False)

    @classmethod
    def of(
        cls, policies: Iterable[LimitPolicy], store: QuotaStore, mode: LimitMode, *collectors: Collector
    ) -> "RateLimits":
        """Makes limits that have counted nothing yet; `collectors` are the metrics of the store."""
        counts, base = LimitCounts(), tuple(policies)
        limits = cls({}, store, mode, counts, (counts, *collectors), base)
        limits.use(base)
        return limits

    def use(self, policies: Iterable[LimitPolicy]) -> None:
        """Puts policies into force for all methods, from the next request on; what was counted stays counted."""
        self.policies = {policy.name: policy for policy in policies}
        for name in self.policies:
            self.counts.add(name)
        for method in self._methods:
            method.hold()

    def of_method(self, method: Method) -> "MethodLimits | None":
        """Returns the limits of a method, which follow the policies in force; None when limits are off."""
        if self.mode is LimitMode.OFF:
            return None
        made = MethodLimits(self, method)
        self._methods.add(made)
        return made

    def described(self, method: Method) -> list[dict[str, object]]:
        """Returns what the OpenAPI document says of a method's limits."""
        if self.mode is LimitMode.OFF:
            return []
        return [policy.described() for policy in policies_of(method, self.policies.values())]


def policies_of(method: Method, policies: Iterable[LimitPolicy]) -> tuple[LimitPolicy, ...]:
    """Returns the policies that hold for a method: those of its class; by account only if it names a field."""
    policy = method.policy
    return tuple(
        one for one in policies if policy.rate_class in one.classes and (one.by not in OF_ACCOUNTS or policy.rate_field)
    )


class MethodLimits:
    """The limits of one method.

    A request is counted in two steps: by what is known of its sender before its body is read, and then by the account
    that the body names. When the second step refuses, the first one is taken back.
    """

    __slots__ = (
        "__weakref__",
        "_counts",
        "_early",
        "_field",
        "_late",
        "_limits",
        "_method",
        "_reports",
        "_store",
    )

    def __init__(self, limits: RateLimits, method: Method) -> None:
        self._limits, self._store, self._counts, self._method = limits, limits.store, limits.counts, method
        self._reports = limits.mode is LimitMode.REPORT
        self.hold()

    def hold(self) -> None:
        """Takes the policies that are in force now."""
        policies = policies_of(self._method, self._limits.policies.values())
        self._early = tuple(one for one in policies if one.by not in OF_ACCOUNTS)
        self._late = tuple(one for one in policies if one.by in OF_ACCOUNTS)
        self._field = self._method.policy.rate_field if self._late else ""

    @property
    def by_account(self) -> bool:
        """Whether a limit counts by the account that a message names."""
        return bool(self._field)

    def admit(self, request: Request, client: Client) -> Awaitable[None] | None:
        """Counts a request by its sender; what it returns is to be awaited. Raises Problem 429."""
        wanted = [(policy, key) for policy in self._early if (key := policy.key_of(policy, client))]
        return self._count(request, wanted, ()) if wanted else None

    def admit_account(self, request: Request, client: Client, message: Message) -> Awaitable[None] | None:
        """Counts a request by the account that its message names, as `admit` does by its sender."""
        if not self._field or not (account := str(getattr(message, self._field))):
            return None
        named = Client(client.subject, client.address, client.api_key, account)
        wanted = [(policy, policy.key(named)) for policy in self._late]
        before = [(policy, key) for policy in self._early if (key := policy.key(client))]
        return self._count(request, wanted, before)

    def _count(self, request: Request, wanted: Sequence[Wanted], before: Sequence[Wanted]) -> Awaitable[None] | None:
        taken = self._store.take(wanted)
        if isinstance(taken, list):  # a test for an abstract class costs as much as counting
            self._heed(request, taken, before)
            return None
        return self._awaited(request, taken, before)

    async def _awaited(self, request: Request, taking: Awaitable[list[Quota]], before: Sequence[Wanted]) -> None:
        with use(CallContext(traceparent=request.traceparent)):
            quotas = await taking
        self._heed(request, quotas, before)

    def _heed(self, request: Request, quotas: Sequence[Quota], before: Sequence[Wanted]) -> None:
        request.quotas = [*request.quotas, *quotas] if request.quotas else quotas
        refusing = [quota for quota in quotas if quota.wait > 0]
        if not refusing:
            for quota in quotas:
                self._counts.allowed[quota.policy.name] += 1
            return
        names = [quota.policy.name for quota in refusing]
        request.limit = names[0]
        tally = self._counts.reported if self._reports else self._counts.refused
        for name in names:
            tally[name] += 1
        if not self._reports:
            if before:
                self._store.give_back(before)
            raise _problem(refusing, names)


def _problem(refusing: Sequence[Quota], names: Sequence[str]) -> Problem:
    return Problem(
        429,
        RATE_LIMITED,
        f"too many requests of this kind: the limit is {', '.join(str(quota.policy) for quota in refusing)}",
        members={VIOLATED: names},
        retry_after=max(quota.wait for quota in refusing),
    )
