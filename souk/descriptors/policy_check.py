"""Checks the policy that a contract gives a method against the method itself."""

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from soukapi.v1 import policy_pb2


def fault_of(method: MethodDescriptor, policy: policy_pb2.MethodPolicy) -> str:
    """Returns what does not fit in a method's policy; empty if it is sound."""
    if policy.access == policy_pb2.ACCESS_INTERNAL and not policy.callers:
        return "an internal method names the services that may call it: callers"
    if policy.callers and policy.access != policy_pb2.ACCESS_INTERNAL:
        return "only an internal method names callers"
    if policy.subject_field and policy.subject_field not in method.input_type.fields_by_name:
        return f"the subject field {policy.subject_field!r} is not a field of its request"
    if policy.subject_field and method.client_streaming:
        return "a stream of requests has no subject field"
    if policy.HasField("max_age") and (wrong := _wrong_max_age(method, policy)):
        return wrong
    return _wrong_rate_field(method, policy.rate_field) if policy.rate_field else ""


def _wrong_max_age(method: MethodDescriptor, policy: policy_pb2.MethodPolicy) -> str:
    if policy.max_age.ToNanoseconds() < 0:
        return "max_age is not below zero"
    options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
    read_only = options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    if policy.access != policy_pb2.ACCESS_ANYONE or not read_only:
        return "only what anyone may read, without side effects, has a max_age: other answers are never kept"
    if method.client_streaming or method.server_streaming:
        return "a stream is never kept, so there is no max_age"
    own = ("no_store", "rate_field", "idempotency_field", "response_headers")
    if found := next((name for name in own if getattr(policy, name)), ""):
        return f"with {found} no answer is ever kept, so there is no max_age"
    return ""


def _wrong_rate_field(method: MethodDescriptor, name: str) -> str:
    field_ = method.input_type.fields_by_name.get(name)
    if field_ is None or field_.type != FieldDescriptor.TYPE_STRING or field_.is_repeated:
        return f"the rate field {name!r} is not a text of its request"
    return "a stream of requests has no rate field" if method.client_streaming else ""
