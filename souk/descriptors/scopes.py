"""The scope of a method: what a caller needs who may call only what scopes name, such as the holder of an API key."""

from soukapi.v1 import policy_pb2


def scope_of(service: str, policy: policy_pb2.MethodPolicy, *, read_only: bool) -> str:
    """Returns the scope, such as `order:write`; empty if no such caller may call the method.

    It is derived, so that no method can forget it: `admin` where a role is needed, else `read` or `write`. A sensitive
    method is for people: it takes a password or gives out credentials.
    """
    if policy.access != policy_pb2.ACCESS_CALLER or policy.rate_class == policy_pb2.RATE_CLASS_SENSITIVE:
        return ""
    return f"{service}:{'admin' if policy.roles else 'read' if read_only else 'write'}"
