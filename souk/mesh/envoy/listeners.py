"""Listeners: where a sidecar takes the calls of its application, and those of other sidecars."""

from collections.abc import Iterable, Mapping
from typing import Any

from souk.mesh.envoy.access import access_filters
from souk.mesh.envoy.clusters import APPLICATION, tls_context
from souk.mesh.envoy.parts import ADS, Part, address, duration, extension
from souk.mesh.envoy.reports import tries_reported
from souk.mesh.envoy.routes import FAULT_FILTER, NOT_AGAIN, OUTBOUND, REFUSALS
from souk.rpc.sidecar import ATTEMPTS, CALLEE_FLAGS, FLAGS, SIDECARS_OWN

INBOUND = "inbound"
"""The name of the listener for other sidecars, and of its routes; that for the application is OUTBOUND."""


MOST_FIELDS = 256
"""Header fields of a request, and of an answer, which are bounded by those who send them."""
_MOST_HEAD_KB = 96
_ANY_HTTP: dict[str, Any] = {
    "upgrade_configs": [{"upgrade_type": "websocket"}],
    "http2_protocol_options": {"allow_connect": True},
    "proxy_100_continue": True,
    "common_http_protocol_options": {"max_headers_count": MOST_FIELDS},
    "max_request_headers_kb": _MOST_HEAD_KB,
}
"""What a listener needs to carry more than gRPC."""
_FLAGS, _ATTEMPTS = "%RESPONSE_FLAGS%", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"


def outbound_listener(at: str, token: str, tracing: Part | None = None) -> dict[str, Any]:
    """Makes the listener for the calls of the application, without TLS: only the application can reach it.

    It reports the tries of calls that are observed, with the `token` that proves whose sidecar it is.
    """
    manager = _manager(
        OUTBOUND,
        {"upstream_log": [tries_reported(token)]},
        (extension(FAULT_FILTER, "filters.http.fault.v3.HTTPFault"),),
        rds={"route_config_name": OUTBOUND, "config_source": ADS},
        codec_type="AUTO",
        local_reply_config={"mappers": [_reasons_given({FLAGS: _FLAGS, ATTEMPTS: _ATTEMPTS})]},
        **_ANY_HTTP,
        **(tracing or {}),
    )
    return _listener(OUTBOUND, at, {"filters": [manager]}) | {"traffic_direction": "OUTBOUND"}


def inbound_routes(access: Part) -> dict[str, Any]:
    """Makes the routes of what other sidecars call: all of it goes to the application that `access` allows."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": APPLICATION, "timeout": duration(None)}}
    host = {"name": APPLICATION, "domains": ["*"], "routes": [route], "typed_per_filter_config": access}
    return {"name": INBOUND, "virtual_hosts": [host], "response_headers_to_remove": [*SIDECARS_OWN, NOT_AGAIN]}


def inbound_listener(at: str, callers: str, tracing: Part | None = None, *, any_http: bool = False) -> dict[str, Any]:
    """Makes the listener for other sidecars: by mutual TLS alone, from SPIFFE ids that begin with `callers`, and only
    for what its routes allow. With `any_http` that need not be gRPC."""
    refusals = extension(
        "envoy.filters.http.lua", "filters.http.lua.v3.Lua", default_source_code={"inline_string": REFUSALS}
    )
    forged = extension(
        "envoy.filters.http.header_mutation",
        "filters.http.header_mutation.v3.HeaderMutation",
        mutations={"response_trailers_mutations": [{"remove": name} for name in SIDECARS_OWN]},
    )
    manager = _manager(
        INBOUND,
        {},
        (*access_filters(), forged, *(() if any_http else (refusals,))),
        rds={"route_config_name": INBOUND, "config_source": ADS},
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
        **(
            _ANY_HTTP | {"local_reply_config": {"mappers": [_reasons_given({CALLEE_FLAGS: _FLAGS})]}}
            if any_http
            else {}
        ),
        **(tracing or {}),
    )
    tls = extension(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        require_client_certificate=True,
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
        common_tls_context=tls_context({"prefix": callers}),
    )
    return _listener(INBOUND, at, {"filters": [manager], "transport_socket": tls}) | {"traffic_direction": "INBOUND"}


def _listener(name: str, at: str, chain: Part) -> dict[str, Any]:
    where = address(at)
    if "pipe" in where:
        where["pipe"]["mode"] = 0o600
    return {"name": name, "address": where, "filter_chains": [chain]}


def _manager(name: str, routing: Part, filters: Iterable[Part], **more: Any) -> dict[str, Any]:
    # What x-envoy- headers ask for is not obeyed, nor are any added.
    router = extension(
        "envoy.filters.http.router", "filters.http.router.v3.Router", suppress_envoy_headers=True, **routing
    )
    return extension(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        http_filters=[*filters, router],
        stream_idle_timeout=duration(None),
        generate_request_id=False,  # the ids of traces and requests are the application's
        server_header_transformation="PASS_THROUGH",
        use_remote_address=False,
        skip_xff_append=True,
        internal_address_config={"unix_sockets": True},
        **({"codec_type": "HTTP2"} | more),
    )


def _reasons_given(headers: Mapping[str, str]) -> Part:
    """Makes what gives each answer of the sidecar itself these headers."""
    always = {"comparison": {"op": "GE", "value": {"default_value": 0, "runtime_key": "souk.any_status"}}}
    return {
        "filter": {"status_code_filter": always},
        "headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ],
    }
