"""The proof by which a sidecar shows the control plane which instance it stands beside."""

import hmac
from hashlib import sha256

_PURPOSE = b"souk sidecar"


def workload_token(secret: bytes, service: str, instance: str) -> str:
    """Makes the token of the sidecar of an instance, from the secret of the installation."""
    names = f"{service}\0{instance}".encode()
    return hmac.new(hmac.digest(secret, _PURPOSE, "sha256"), names, sha256).hexdigest()


def is_workload_token(secret: bytes, service: str, instance: str, token: str) -> bool:
    """Tells whether a token is that of the sidecar of an instance."""
    return hmac.compare_digest(workload_token(secret, service, instance).encode(), token.encode())
