"""Who may call a method, and how often: the same checks in the same order, whichever way a caller comes."""

from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import Message

from souk.descriptors.contract import Policy
from souk.gateway.auth.identity import Identity
from souk.gateway.http.request import Request
from souk.gateway.limits.limiter import MethodLimits
from souk.gateway.limits.policy import Client
from souk.kernel.context import Caller


@dataclass(frozen=True, slots=True)
class EdgeAdmission:
    """The checks of one method, or of one rule of the routes file. `limits` None means that no rate limit holds.

    `passed_on` says that an application learns who calls, also where anyone may.
    """

    policy: Policy
    identity: Identity
    limits: MethodLimits | None
    passed_on: bool = False

    async def admit(self, request: Request) -> Caller:
        """Checks a request before its body is read: 401 and 403, then 429. Raises Problem."""
        trace = request.traceparent
        caller = await self.identity.authorise(request, self.policy, trace, passed_on=self.passed_on)
        caller = _at(caller, request.client)
        request.subject = caller.subject
        if self.limits is not None:
            waited = self.limits.admit(request, _client(caller))
            if waited is not None:
                await waited
        return caller

    @property
    def by_account(self) -> bool:
        """Whether a limit counts by the account that a message names."""
        return self.limits is not None and self.limits.by_account

    async def admit_account(self, request: Request, caller: Caller, message: Message) -> None:
        """Counts a request by the account that its message names. Raises Problem 429."""
        if self.limits is not None and self.limits.by_account:
            waited = self.limits.admit_account(request, _client(caller), message)
            if waited is not None:
                await waited


@lru_cache(maxsize=4096)
def _at(caller: Caller, address: str) -> Caller:
    """Returns a caller at an address: the same object for the same one, which is cheap to find tokens by."""
    return caller.at(address)


def _client(caller: Caller) -> Client:
    return Client(caller.subject, caller.address, caller.api_key)
