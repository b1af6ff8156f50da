"""Reports of tries by Envoy's gRPC Access Log Service: what sidecars tell the control plane of calls to a canary.

Each sidecar is always set up for it, and reports nothing of calls without the header that the routes of a service with
a canary add. What the control plane does not take is dropped: no call waits for it.

Sources: Envoy's documentation, "Router" (upstream_log), "Access logging", and envoy/service/accesslog/v3/als.proto.
"""

from typing import Any

from souk.mesh.envoy.bootstrap import CONTROL_PLANE, TOKEN
from souk.mesh.envoy.parts import duration, extension
from souk.mesh.envoy.releases import OBSERVED
from souk.rpc.status import STATUS_KEY

TRIES = "tries"
"""The name of the log: one entry for each try, and for each copy that a mirror makes."""
STATUS = "grpc-status"
REPORTED_WITHIN = 0.5
"""Seconds after which a sidecar reports what has ended."""


def tries_reported(token: str) -> dict[str, Any]:
    """Makes the log of a caller's sidecar, with the token that proves whose it is."""
    answer = [STATUS, STATUS_KEY]
    log = extension(
        "envoy.access_loggers.http_grpc",
        "access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        common_config={
            "log_name": TRIES,
            "transport_api_version": "V3",
            "buffer_flush_interval": duration(REPORTED_WITHIN),
            "grpc_service": {
                "envoy_grpc": {"cluster_name": CONTROL_PLANE},
                "initial_metadata": [{"key": TOKEN, "value": token}],
            },
        },
        additional_request_headers_to_log=[OBSERVED],
        additional_response_headers_to_log=answer,
        additional_response_trailers_to_log=answer,
    )
    return {"filter": {"header_filter": {"header": {"name": OBSERVED, "present_match": True}}}, **log}
