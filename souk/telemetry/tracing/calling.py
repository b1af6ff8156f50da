"""What spans of calls are named and have, by OpenTelemetry's conventions for RPC.

Made once for each method: most calls are answered, and all those of a method have the same attributes.
"""

from functools import cache
from typing import NamedTuple

from souk.telemetry.tracing.span import Attributes

STATUS, SYSTEM, REFUSAL = "rpc.response.status_code", "rpc.system.name", "souk.refusal"
GRPC, CONNECT, IN_PROCESS, REST = "grpc", "connectrpc", "in_process", "rest"
"""What carries a call. OpenTelemetry has names for the first two; what it has no name for may have one of ours."""


class MethodSpans(NamedTuple):
    """The name of a method's spans, their attributes from the start, and those of a call that was answered."""

    name: str
    begun: Attributes
    answered: Attributes


@cache
def spans_of(full_name: str, system: str = GRPC) -> MethodSpans:
    """Returns what spans of a method have, by its full name, such as `/shop.order.v1.OrderService/PlaceOrder`."""
    name = full_name[1:]
    begun = {SYSTEM: system, "rpc.method": name}
    return MethodSpans(name, begun, {**begun, STATUS: "OK"})
