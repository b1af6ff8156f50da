"""Secrets of Envoy's SDS, as dicts for `resource`: a sidecar's certificate, and which peers it trusts.

They hold the text itself, so a sidecar reads no file; what `certificate_secret` makes must not be logged.
"""

from typing import Any

from souk.mesh.envoy.resource import SECRET
from souk.mesh.identity.authority import WorkloadCertificate

Secret = dict[str, Any]


def certificate_secret(name: str, certificate: WorkloadCertificate) -> Secret:
    """Makes the secret with a workload's chain and key."""
    chain, key = {"inline_string": certificate.chain}, {"inline_string": certificate.key}
    return _secret(name, tls_certificate={"certificate_chain": chain, "private_key": key})


def roots_secret(name: str, bundle: str) -> Secret:
    """Makes the secret with the trusted roots alone, for a context that has matchers of its own.

    Envoy adds the matchers of both, and one that matches is enough: so a context that expects one service must be
    given this secret, and not one that accepts more.
    """
    return _secret(name, validation_context={"trusted_ca": {"inline_string": bundle}})


def _secret(name: str, **content: dict[str, Any]) -> Secret:
    return {"@type": SECRET, "name": name, **content}
