"""An OpenID provider on loopback, over real HTTP: configuration, keys, and tokens by client credentials."""

import json
import threading
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

KEYS: dict[str, Any] = {
    "RS256": RSAKey.generate_key(2_048, parameters={"kid": "rsa-1"}),
    "ES256": ECKey.generate_key("P-256", parameters={"kid": "ec-1"}),
    "EdDSA": OKPKey.generate_key("Ed25519", parameters={"kid": "ed-1"}),
}
KEYS["PS256"] = KEYS["RS256"]
CLIENT, SECRET = "till-7", "s3cret"


def _segment(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass
class Provider:
    """What the provider answers. `now` is the time at which it issues tokens, in seconds since 1970."""

    port: int
    now: int
    keys: list[Any] = field(default_factory=lambda: [KEYS["RS256"], KEYS["ES256"], KEYS["EdDSA"]])
    changed: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/staff"

    def token(self, algorithm: str = "RS256", key: Any = None, **claims: Any) -> str:
        key = key or KEYS[algorithm]
        payload = {"iss": self.url, "aud": "souk", "sub": "U-demo", "iat": self.now, "exp": self.now + 300, **claims}
        parts = ({"alg": algorithm, "kid": key.kid, "typ": "at+jwt"}, payload)
        text = ".".join(_segment(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_segment(JWSRegistry.algorithms[algorithm].sign(text.encode(), key))}"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/realms/staff/.well-known/openid-configuration":
            return self._json(
                {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/certs",
                    "token_endpoint": f"{self.url}/token",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    **self.changed,
                }
            )
        if path == "/realms/staff/certs":
            keys = [{**key.as_dict(private=False), "kid": key.kid, "use": "sig"} for key in self.keys]
            return self._json({"keys": [*keys, {"kty": "oct", "kid": "shared"}, {"kid": 7}, {"kty": "AKP"}]})
        return 404, {}, b""

    def grant(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, str], bytes]:
        """Answers the token endpoint (RFC 6749, section 4.4)."""
        known = b64decode(authorization.removeprefix("Basic ")).decode() == f"{CLIENT}:{SECRET}"
        if not known or form.get("grant_type") != ["client_credentials"]:
            return 401, {}, b'{"error":"invalid_client"}'
        token = self.token(sub=CLIENT, scope=" ".join(form.get("scope", [])))
        return self._json({"access_token": token, "token_type": "Bearer", "expires_in": 300})

    @staticmethod
    def _json(document: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {"content-type": "application/json"}, json.dumps(document).encode()


@contextmanager
def provider(now: int, port: int = 0) -> Iterator[Provider]:
    """Serves a provider at a port, by default any."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(*told.answer(self.path))

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            self._answer(*told.grant(self.headers["authorization"], form))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        told = Provider(server.server_address[1], now)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
