"""Adopted applications: clusters and routes by which sidecars carry their requests, which are any of HTTP.

The caller's sidecar finds the application by its name in `Host`, and puts the host in its place that the client asked
for. Between sidecars everything is HTTP/2, a WebSocket by extended CONNECT (RFC 8441); the application gets HTTP/1.1.

The sender of a request keeps its time limits. What was not sent is sent to another instance, whatever its method, and
what was lost on the way only if its method is idempotent and the sender does not do so itself. Answers are final here.
"""

from typing import Any

from souk.mesh.envoy.clusters import APPLICATION, application_cluster, callee_clusters
from souk.mesh.envoy.listeners import INBOUND, MOST_FIELDS
from souk.mesh.envoy.parts import Part, duration, typed
from souk.mesh.envoy.routes import retry_policy
from souk.mesh.policy.policy import CallLimits, Ejection, RetryOn, ServiceRules, TryRules
from souk.rpc.sidecar import CALLEE_FLAGS, CLIENT_HOST, SIDECARS_OWN, TRIES

RULES = ServiceRules({}, limits=CallLimits(requests=2_048))
"""What holds for requests to every application: streams and WebSockets are requests that take long."""
_IDEMPOTENT = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"
"""RFC 9110, 9.2.2."""
_UNREACHED, _LOST = ("UF", "UH", "UO", "NC"), ("UC", "UR")
"""Flags of a callee's sidecar that did not reach the application, and of one whose connection to it ended too early."""
_KEPT_FOR = 30.0
"""Seconds for which a connection to an application is kept: less than its server keeps one."""
_MOST_HEAD_KB = 1_024
"""Kibibytes of an answer's head; the sender has a lower limit of its own."""
_TRACED = {"tracing": {"operation": "%REQ(:METHOD)%", "upstream_operation": "%REQ(:METHOD)%"}}
"""A path may hold what is private, and so may its query: spans have neither."""
_OPTIONS = "extensions.upstreams.http.v3.HttpProtocolOptions"


def callee_application_cluster(service: str, spiffe_id: str) -> dict[str, Any]:
    """Makes the cluster of an application's instances, whose sidecars must show a certificate of `spiffe_id`."""
    (made,) = callee_clusters(service, RULES, spiffe_id)
    return {
        **made,
        "outlier_detection": _outlier_detection(made["outlier_detection"], RULES.ejection or Ejection()),
        "typed_extension_protocol_options": _http({"http2_protocol_options": {"allow_connect": True}}),
    }


def own_application_cluster(at: str) -> dict[str, Any]:
    """Makes the cluster of the application at an address, for its own sidecar."""
    return application_cluster(at) | {
        "typed_extension_protocol_options": _http({"http_protocol_options": {}}, idle_timeout=duration(_KEPT_FOR))
    }


def application_host(service: str) -> dict[str, Any]:
    """Makes the virtual host of an application among the routes of one who may call it."""
    not_sent = TryRules(on=frozenset({RetryOn.NOT_SENT}))
    lost = TryRules(on=frozenset({RetryOn.NOT_SENT, RetryOn.LOST}))
    by_sender = {"name": TRIES, "present_match": True}
    idempotent = {"name": ":method", "string_match": {"safe_regex": {"regex": _IDEMPOTENT}}}
    routes = [
        _route(service, [by_sender], not_sent),
        _route(service, [idempotent], lost),
        _route(service, [], not_sent),
    ]
    return {"name": service, "domains": [service], "routes": routes}


def inbound_application_routes(access: Part) -> dict[str, Any]:
    """Makes the routes of what others send: all of it goes to the application that `access` allows."""
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": APPLICATION, "timeout": duration(None)},
        **_TRACED,
    }
    host = {"name": INBOUND, "domains": ["*"], "routes": [route], "typed_per_filter_config": access}
    return {
        "name": INBOUND,
        "virtual_hosts": [host],
        "request_headers_to_remove": [CLIENT_HOST, TRIES],
        "response_headers_to_remove": [CALLEE_FLAGS, *SIDECARS_OWN],
    }


def _route(service: str, headers: list[Part], tries: TryRules) -> Part:
    policy = retry_policy(tries, None)
    flags = "|".join((*_UNREACHED, *(_LOST if RetryOn.LOST in tries.on else ())))
    again = {
        **policy,
        "retry_on": f"{policy['retry_on']},retriable-headers",
        "retriable_headers": [
            {"name": CALLEE_FLAGS, "string_match": {"safe_regex": {"regex": f"(.*,)?({flags})(,.*)?"}}}
        ],
    }
    action = {
        "cluster": service,
        "timeout": duration(None),
        "host_rewrite_header": CLIENT_HOST,
        "retry_policy": again,
    }
    return {"match": {"prefix": "/", "headers": headers}, "route": action, **_TRACED}


def _outlier_detection(made: Part, rules: Ejection) -> Part:
    """Counts answers that say that an instance cannot serve (502, 503, 504); 500 is a failure of one request."""
    return {
        **made,
        "consecutive_gateway_failure": rules.failures,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_consecutive_5xx": 0,
    }


def _http(protocol: Part, **more: Any) -> Part:
    common = {"max_headers_count": MOST_FIELDS, "max_response_headers_kb": _MOST_HEAD_KB, **more}
    options = typed(_OPTIONS, explicit_http_config=protocol, common_http_protocol_options=common)
    return {f"envoy.{_OPTIONS}": options}
