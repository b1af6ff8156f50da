"""Checks the policy that a contract gives a method against the method itself."""

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
    return _wrong_rate_field(method, policy.rate_field) if policy.rate_field else ""


def _wrong_rate_field(method: MethodDescriptor, name: str) -> str:
    field_ = method.input_type.fields_by_name.get(name)
    if field_ is None or field_.type != FieldDescriptor.TYPE_STRING or field_.is_repeated:
        return f"the rate field {name!r} is not a text of its request"
    return "a stream of requests has no rate field" if method.client_streaming else ""
