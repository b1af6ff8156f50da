"""The settings of the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from souk.gateway.docs.settings import DocsSettings

Network: TypeAlias = IPv4Network | IPv6Network

GATEWAY_SERVICE = "gateway"
"""The gateway's name as a service: in calls, in the registry, and in commands."""
CONSOLE_PATH = "/console"
"""Where the operators' console is; no contract and no route of a file may have this path, or one below it."""
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """Another issuer whose access tokens are believed, found by OpenID Connect Discovery.

    `issuer` is its URL, as its tokens have it in `iss`; they must name `audience` in `aud`, and be signed by one of the
    `algorithms`. Its subjects become NAME|SUBJECT, so that two issuers' subjects never meet. `jwks_hosts` are the hosts
    beside its own at which its keys may be. `roles_claim` is the path of a claim, as in `realm_access.roles`, and
    `roles` the role that each of its values stands for; other values stand for none. `scoped` says that its callers may
    call only what their scopes name, as API keys may.
    """

    name: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256",)
    jwks_hosts: tuple[str, ...] = ()
    roles_claim: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    scope_claim: str = "scope"
    scoped: bool = False


@dataclass(frozen=True, slots=True)
class CertificateCaller:
    """A caller whose connections have a client certificate: that with this subject, or with this subject alternative
    name; one of the three is given. `scopes` name all that it may call. It acts for a `user`, or for itself.
    """

    name: str
    scopes: tuple[str, ...]
    subject_dn: str = ""
    san_uri: str = ""
    san_dns: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The settings of the gateway. Sizes are in bytes, times in seconds.

    `max_upload` is the largest file that is passed on in parts, to a method that takes a stream.
    `max_drain` is how much of an unwanted body is read before its answer, for at most `drain_timeout`, and until none
    comes for `drain_pause`; then the connection is closed after the answer. `jwks_refetch` is the
    least time between two fetches of the verification keys for an unknown kid, `jwks_retry` the least time
    after a failed fetch, and `jwks_age` the time after which the keys are fetched anyway, so that a withdrawn
    key stops working; `jwks_stale` is how long keys are used at most while they cannot be fetched.
    `trusted_proxies` are the networks whose X-Forwarded-For is believed; none by default. `metrics` says whether
    `/metrics` is a route: all who reach the gateway can then read the metrics. `issuers` are believed beside the
    app's own; `issuer_jwks_age` is `jwks_age` for them, and `issuer_timeout` limits each request to one. What is
    known of an API key is asked for again after `api_key_age`, so a revoked one is taken so much longer;
    `known_api_keys` limits how many are known, good ones and others. `read_cache` is how long answers of public reads
    are fresh in the gateway's cache, which holds `read_cache_bytes` of them; with 0 there is no cache. Pages of
    `cors_origins` may read the gateway's answers. `certificates` are the callers that client certificates stand for;
    with None no certificate stands for anybody, and none is refused. `docs` is for the API's page.
    """

    max_body: int = MEBIBYTE
    max_upload: int = 256 * MEBIBYTE
    max_drain: int = 4 * MEBIBYTE
    max_target: int = 8 * 1024
    max_headers: int = 100
    max_header_bytes: int = 32 * 1024
    drain_timeout: float = 5.0
    drain_pause: float = 1.0
    jwks_refetch: float = 5.0
    jwks_retry: float = 1.0
    jwks_age: float = 60.0
    jwks_stale: float = 3_600.0
    verified_tokens: int = 10_000
    title: str = "Souk"
    trusted_proxies: tuple[Network, ...] = ()
    metrics: bool = False
    issuers: tuple[IssuerSettings, ...] = ()
    issuer_jwks_age: float = 300.0
    issuer_timeout: float = 5.0
    api_key_age: float = 5.0
    known_api_keys: int = 10_000
    cors_origins: tuple[str, ...] = ()
    certificates: tuple[CertificateCaller, ...] | None = None
    read_cache: float = 0.0
    read_cache_bytes: int = 64 * MEBIBYTE
    docs: DocsSettings = field(default_factory=DocsSettings)
