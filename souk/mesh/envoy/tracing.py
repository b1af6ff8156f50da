"""Spans of sidecars: part of the traces of their applications, and recorded when those are.

A sidecar reads the `traceparent` of a call, records a span under it if it is sampled, and sends the span's own context
on. What comes without one is not recorded: a trace begins in an application.
"""

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any

from souk.mesh.envoy.parts import Part, duration, extension, typed
from souk.mesh.envoy.trace_variables import SpanReceiver
from souk.telemetry.otel_variables import OTLP_GRPC
from souk.telemetry.tracing.settings import ZIPKIN

TRACES = "traces"
"""The name of the cluster to which spans are sent."""
_CONNECT_LIMIT, _SEND_LIMIT = 1.0, 10.0
_SAMPLERS = "tracers.opentelemetry.samplers.v3"
_NONE = extension(
    "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
    f"{_SAMPLERS}.TraceIdRatioBasedSamplerConfig",
    sampling_percentage={"numerator": 0},
)
_BY_THE_PARENT = extension(
    "envoy.tracers.opentelemetry.samplers.parent_based",
    f"{_SAMPLERS}.ParentBasedSamplerConfig",
    wrapped_sampler=_NONE,
)
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def traced(receiver: SpanReceiver | None, service: str, *, each_try: bool) -> Mapping[str, Any]:
    """Makes what a connection manager needs to record spans as the sidecar of a service; nothing without a receiver.

    With `each_try` each try of a call has a span of its own below that of the call.
    """
    if receiver is None:
        return {}
    tracing = {
        "provider": _zipkin(receiver) if receiver.protocol == ZIPKIN else _opentelemetry(receiver, service),
        "spawn_upstream_span": each_try,
        "max_path_tag_length": 0,  # a path of HTTP may hold what is private; that of gRPC is the span's name
        "operation": "%REQ(:PATH)%",
        "upstream_operation": "%REQ(:PATH)%",
    }
    # What is sampled stands in `traceparent`; the request's own id neither decides nor is it changed.
    ids = typed(
        "extensions.request_id.uuid.v3.UuidRequestIdConfig",
        pack_trace_reason=False,
        use_request_id_for_trace_sampling=False,
    )
    return {"tracing": tracing, "request_id_extension": {"typed_config": ids}}


def traces_cluster(receiver: SpanReceiver) -> dict[str, Any]:
    """Makes the cluster of the receiver. A sidecar is ready without it."""
    where = {"socket_address": {"address": receiver.host, "port_value": receiver.port}}
    made: dict[str, Any] = {
        "name": TRACES,
        "type": "STATIC" if _is_ip(receiver.host) else "STRICT_DNS",
        "connect_timeout": duration(_CONNECT_LIMIT),
        "wait_for_warm_on_init": False,
        "load_assignment": {
            "cluster_name": TRACES,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": where}}]}],
        },
    }
    if receiver.protocol == OTLP_GRPC:
        options = typed(_HTTP.removeprefix("envoy."), explicit_http_config={"http2_protocol_options": {}})
        made["typed_extension_protocol_options"] = {_HTTP: options}
    if receiver.tls:
        roots = receiver.roots or ssl.get_default_verify_paths().cafile or ""
        names = {"san_type": "IP_ADDRESS" if _is_ip(receiver.host) else "DNS", "matcher": {"exact": receiver.host}}
        made["transport_socket"] = extension(
            "envoy.transport_sockets.tls",
            "transport_sockets.tls.v3.UpstreamTlsContext",
            sni="" if _is_ip(receiver.host) else receiver.host,
            common_tls_context={
                "validation_context": {"trusted_ca": {"filename": roots}, "match_typed_subject_alt_names": [names]}
            },
        )
    return made


def _opentelemetry(receiver: SpanReceiver, service: str) -> Part:
    headers = [{"header": {"key": name, "value": value}} for name, value in receiver.headers]
    limit = duration(_SEND_LIMIT)
    if receiver.protocol == OTLP_GRPC:
        metadata = [{"key": name, "value": value} for name, value in receiver.headers]
        grpc = {"envoy_grpc": {"cluster_name": TRACES}, "timeout": limit, "initial_metadata": metadata}
        how: dict[str, Any] = {"grpc_service": grpc}
    else:
        uri = {"uri": _url(receiver), "cluster": TRACES, "timeout": limit}
        how = {"http_service": {"http_uri": uri, "request_headers_to_add": headers}}
    return {
        "name": "envoy.tracers.opentelemetry",
        "typed_config": typed(
            "config.trace.v3.OpenTelemetryConfig", service_name=f"{service}-sidecar", sampler=_BY_THE_PARENT, **how
        ),
    }


def _zipkin(receiver: SpanReceiver) -> Part:
    return {
        "name": "envoy.tracers.zipkin",
        "typed_config": typed(
            "config.trace.v3.ZipkinConfig",
            collector_cluster=TRACES,
            collector_endpoint=receiver.path,
            collector_endpoint_version="HTTP_JSON",
            collector_hostname=f"{receiver.host}:{receiver.port}",
            trace_id_128bit=True,
            shared_span_context=False,
            trace_context_option="USE_B3_WITH_W3C_PROPAGATION",
        ),
    }


def _url(receiver: SpanReceiver) -> str:
    host = f"[{receiver.host}]" if ":" in receiver.host else receiver.host
    return f"{'https' if receiver.tls else 'http'}://{host}:{receiver.port}{receiver.path}"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
