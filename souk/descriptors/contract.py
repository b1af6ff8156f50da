"""Reads a contract into Python: its methods with their policies, reasons and HTTP rules.

Everything that Souk does by contract (routes, retry, breaker, limits, caller checks) takes it from here, so no
rule is written twice. A foreign service, whose contract has none of Souk's options, gets the defaults: access
UNSPECIFIED, a time-out of five seconds, no reasons of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import TypeVar

import grpc
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from soukapi.v1 import policy_pb2

from souk.descriptors.http_rule import HttpRule, rules_of
from souk.descriptors.policy_check import fault_of
from souk.descriptors.scopes import scope_of
from souk.kernel.errors import FORBIDDEN, INVALID_REQUEST, UNAUTHENTICATED

DEFAULT_TIMEOUT = 5.0
ANY_SERVICE = "*"
"""The entry in a list of services that stands for every service of the installation."""

M = TypeVar("M", bound=Message)

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class Access(IntEnum):
    """Who may call a method."""

    UNSPECIFIED = policy_pb2.ACCESS_UNSPECIFIED
    """The contract does not say, as in a foreign service. The gateway never routes the method."""
    INTERNAL = policy_pb2.ACCESS_INTERNAL
    """Other services only."""
    ANYONE = policy_pb2.ACCESS_ANYONE
    """Anyone, without a token."""
    CALLER = policy_pb2.ACCESS_CALLER
    """A caller with a valid token, and services acting on behalf of one."""


class RateClass(IntEnum):
    """The kind of load that a method causes, for rate limits."""

    READ = policy_pb2.RATE_CLASS_READ
    WRITE = policy_pb2.RATE_CLASS_WRITE
    SENSITIVE = policy_pb2.RATE_CLASS_SENSITIVE
    REGISTRATION = policy_pb2.RATE_CLASS_REGISTRATION


class Priority(IntEnum):
    """What goes on first when a gateway has more to do than it can."""

    LOW = policy_pb2.PRIORITY_LOW
    NORMAL = policy_pb2.PRIORITY_NORMAL
    HIGH = policy_pb2.PRIORITY_HIGH


def default_priority(rate_class: RateClass) -> Priority:
    """Returns the priority of what names none: reads come after everything else."""
    return Priority.LOW if rate_class is RateClass.READ else Priority.NORMAL


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for which a method may refuse.

    `final` means that a retry with the same key gets the same refusal. `breaker_failure` means that a circuit breaker
    counts it as a failure of the callee. `detail` is the message that always comes with it, if there is one.
    `meaning` and `remedy` tell the caller what it means and what to do; they are empty in a foreign contract.
    """

    name: str
    code: grpc.StatusCode
    http_status: int
    final: bool = False
    breaker_failure: bool = False
    detail: type[Message] | None = None
    meaning: str = ""
    remedy: str = ""


STANDARD_REASONS: Mapping[str, Reason] = {
    reason.name: reason
    for reason in (
        Reason(
            INVALID_REQUEST,
            grpc.StatusCode.INVALID_ARGUMENT,
            400,
            final=True,
            meaning="The request is not valid.",
            remedy="Correct the fields that `errors` lists; each entry says what the field must be.",
        ),
        Reason(
            UNAUTHENTICATED,
            grpc.StatusCode.UNAUTHENTICATED,
            401,  # another token may do
            meaning="The request has no access token, or the token is not valid.",
            remedy="Send `Authorization: Bearer` with an access token that has not expired; log in to get one.",
        ),
        Reason(
            FORBIDDEN,
            grpc.StatusCode.PERMISSION_DENIED,
            403,
            final=True,
            meaning="This account may not do this.",
            remedy="Use an account with the required role; `x-roles` of the operation names it.",
        ),
    )
}
"""The reasons with which every method may refuse, without listing them."""


@dataclass(frozen=True, slots=True)
class SuccessState:
    """The HTTP status of a successful answer in which `field` has the value `value`, as JSON shows it."""

    field: str
    value: str
    http_status: int


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy that a contract gives one method. Times are in seconds; policy.proto explains each field, and
    `scopes.scope_of` the scope."""

    access: Access = Access.UNSPECIFIED
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    owned_by_caller: bool = False
    rate_class: RateClass = RateClass.READ
    timeout: float = DEFAULT_TIMEOUT
    try_timeout: float = DEFAULT_TIMEOUT
    idempotency_field: str = ""
    success_status: int = 200
    success_states: tuple[SuccessState, ...] = ()
    location: str = ""
    no_store: bool = False
    isolated: bool = False
    callers: frozenset[str] = frozenset()
    subject_field: str = ""
    acts_for: frozenset[str] = frozenset()
    response_headers: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    rate_field: str = ""
    priority: Priority = Priority.NORMAL
    max_age: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One method of a contract. `full_name` is its gRPC path, such as "/shop.order.v1.OrderService/PlaceOrder".

    `service` is the name by which its service is discovered. `idempotent` means that, by the contract, a second
    call does no harm. `reasons` includes the standard reasons.
    """

    full_name: str
    service: str
    input: type[Message]
    output: type[Message]
    client_streaming: bool = False
    server_streaming: bool = False
    policy: Policy = field(default_factory=Policy)
    idempotent: bool = False
    read_only: bool = False
    reasons: Mapping[str, Reason] = field(default_factory=lambda: STANDARD_REASONS)
    http: tuple[HttpRule, ...] = ()

    @property
    def name(self) -> str:
        """The method's own name, such as "PlaceOrder"."""
        return self.full_name.rpartition("/")[2]

    @property
    def unary(self) -> bool:
        """Whether the method takes one message and answers with one."""
        return not (self.client_streaming or self.server_streaming)


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """The contract of one service: its methods by full name, and its own reasons by name."""

    name: str
    full_name: str
    methods: Mapping[str, Method]
    reasons: Mapping[str, Reason]


@cache
def contract_of(service: ServiceDescriptor) -> Contract:
    """Reads a service's contract.

    Raises ValueError when a method lists a reason that its service does not have; when a reason's detail is not a
    message; when an internal method names no callers, or another method names some; and when a method's subject
    field or rate field is not a field of its request, or its requests are a stream.
    """
    options = _options(service, descriptor_pb2.ServiceOptions).Extensions[policy_pb2.service]
    reasons = {reason.name: _reason(reason, service) for reason in options.reasons}
    name = options.name or service.full_name
    methods = (_method(method, name, reasons) for method in service.methods)
    return Contract(name, service.full_name, {method.full_name: method for method in methods}, reasons)


def _options(descriptor: MethodDescriptor | ServiceDescriptor, kind: type[M]) -> M:
    # A foreign descriptor may be in a pool of its own, which does not know Souk's extensions.
    return kind.FromString(descriptor.GetOptions().SerializeToString())


def _reason(reason: policy_pb2.Reason, service: ServiceDescriptor) -> Reason:
    return Reason(
        reason.name,
        _CODES[reason.code],
        reason.http_status,
        reason.final,
        reason.breaker_failure,
        _detail(reason, service) if reason.detail else None,
        reason.meaning,
        reason.remedy,
    )


def _detail(reason: policy_pb2.Reason, service: ServiceDescriptor) -> type[Message]:
    try:
        return GetMessageClass(service.file.pool.FindMessageTypeByName(reason.detail))
    except KeyError:
        raise ValueError(f"{service.full_name}: the detail of {reason.name} is no message: {reason.detail}") from None


def _method(method: MethodDescriptor, service: str, reasons: Mapping[str, Reason]) -> Method:
    options = _options(method, descriptor_pb2.MethodOptions)
    policy = options.Extensions[policy_pb2.policy]
    if unknown := [name for name in policy.reasons if name not in reasons]:
        raise ValueError(f"{method.full_name} lists reasons that its service does not have: {', '.join(unknown)}")
    if wrong := fault_of(method, policy):
        raise ValueError(f"{method.full_name}: {wrong}")
    read_only = options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    return Method(
        full_name=f"/{method.containing_service.full_name}/{method.name}",
        service=service,
        input=GetMessageClass(method.input_type),
        output=GetMessageClass(method.output_type),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        policy=_policy(policy, scope_of(service, policy, read_only=read_only)),
        idempotent=options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN,
        read_only=read_only,
        reasons={**STANDARD_REASONS, **{name: reasons[name] for name in policy.reasons}},
        http=rules_of(options.Extensions[annotations_pb2.http]),
    )


def _policy(policy: policy_pb2.MethodPolicy, scope: str) -> Policy:
    timeout = _seconds(policy.timeout) or DEFAULT_TIMEOUT
    return Policy(
        access=Access(policy.access),
        roles=frozenset(policy.roles),
        scopes=frozenset(policy.scopes),
        owned_by_caller=policy.owned_by_caller,
        rate_class=RateClass(policy.rate_class or RateClass.READ),
        timeout=timeout,
        try_timeout=_seconds(policy.try_timeout) or timeout,
        idempotency_field=policy.idempotency_field,
        success_status=policy.success_status or 200,
        success_states=tuple(SuccessState(s.field, s.value, s.http_status) for s in policy.success_states),
        location=policy.location,
        no_store=policy.no_store,
        isolated=policy.isolated,
        callers=frozenset(policy.callers),
        subject_field=policy.subject_field,
        acts_for=frozenset(policy.acts_for),
        response_headers={one.name: one.meaning for one in policy.response_headers},
        rate_field=policy.rate_field,
        priority=_priority(policy),
        max_age=_seconds(policy.max_age) if policy.HasField("max_age") else None,
        scope=scope,
    )


def _priority(policy: policy_pb2.MethodPolicy) -> Priority:
    if policy.priority:
        return Priority(policy.priority)
    return default_priority(RateClass(policy.rate_class or RateClass.READ))


def _seconds(duration: Duration) -> float:
    return float(duration.seconds + duration.nanos / 1e9)
