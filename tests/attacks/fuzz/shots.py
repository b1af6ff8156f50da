"""One input of the fuzzer: what is sent on one connection, made from the seed and its number alone."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from struct import pack
from typing import Any
from urllib.parse import quote

from tests.attacks.corpus.http2 import HTTP2, PREFACE
from tests.attacks.corpus.requests import REQUESTS
from tests.attacks.fuzz.json_values import RAW, VALUES, JsonGenerator
from tests.attacks.fuzz.mutation import mutated, spliced

LAST = b"\r\n\r\nGET /up/last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
_ROWS = [row.octets for row in REQUESTS.values() if len(row.octets) < 50_000]
_FRAMES = [row.octets[len(PREFACE) :] for row in HTTP2.values() if len(row.octets) < 50_000]
_KINDS = (
    "application/json",
    "application/proto",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/connect+json",
    "application/connect+proto",
    "application/grpc",
    "text/plain",
    "",
)
_ENDS = ("DELETE /api/v1/users/me",)
"""Operations that would take the caller's account away."""


@dataclass(frozen=True)
class Shot:
    """Octets for one connection; `http2` says how what comes back is read."""

    kind: str
    octets: bytes
    http2: bool = False


class Shooter:
    """Makes shots. `document` is the OpenAPI document, `methods` the full names of what gRPC can call."""

    def __init__(self, seed: int, document: Mapping[str, Any], methods: Sequence[str]) -> None:
        self._seed, self._schemas, self._methods = seed, document["components"]["schemas"], methods
        self._operations = [
            (verb.upper(), path, operation)
            for path, item in document["paths"].items()
            for verb, operation in item.items()
            if verb in ("get", "post", "put", "patch", "delete") and f"{verb.upper()} {path}" not in _ENDS
        ]

    def shot(self, number: int, token: str) -> Shot:
        """Makes the shot of a number; only `token` is not decided by it."""
        random = Random(f"{self._seed}:{number}")
        make: Callable[[Random, str], Shot] = random.choice(
            (
                self._octets,
                self._octets,
                self._octets,
                self._frames,
                self._frames,
                self._rest,
                self._rest,
                self._rest,
                self._rpc,
            )
        )
        return make(random, token)

    def _octets(self, random: Random, token: str) -> Shot:
        octets = random.choice(_ROWS)
        if random.random() < 0.2:
            octets = spliced(octets, random.choice(_ROWS), random)
        return Shot("http/1.1", mutated(octets, random) + LAST)

    def _frames(self, random: Random, token: str) -> Shot:
        octets = random.choice(_FRAMES)
        if random.random() < 0.2:
            octets = spliced(octets, random.choice(_FRAMES), random)
        return Shot("http/2", PREFACE + mutated(octets, random), http2=True)

    def _rest(self, random: Random, token: str) -> Shot:
        verb, path, operation = random.choice(self._operations)
        values = JsonGenerator(self._schemas, random)
        query = []
        for parameter in operation.get("parameters", ()):
            value = values.value(parameter.get("schema", {}))
            text = quote(str(value), safe=random.choice(("", "/", "%", "&=")))
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", text)
            elif parameter["in"] == "query" and random.random() < 0.6:
                query.append(f"{parameter['name']}={text}")
        body = b""
        if "requestBody" in operation:
            schema = next(iter(operation["requestBody"]["content"].values())).get("schema", {})
            body = values.text(schema).encode("utf-8", "surrogatepass")
        target = path + ("?" + "&".join(query) if query else "")
        if random.random() < 0.2:
            target = mutated(target.encode(), random).decode("latin-1")
        if body and random.random() < 0.1:
            body = mutated(body, random)
        return Shot(
            f"{verb} {operation.get('operationId', path)}", _post(random, verb, target, token, body, "application/json")
        )

    def _rpc(self, random: Random, token: str) -> Shot:
        kind, method = random.choice(_KINDS), random.choice(self._methods)
        message = random.choice(
            (
                b"",
                random.randbytes(random.choice((1, 5, 40))),
                b"\x0a\x05P-101",
                b"\x0a\x7f" + b"x" * 127,
                random.choice(RAW).encode("utf-8", "surrogatepass"),
                json.dumps({"id": random.choice(VALUES)}).encode(),
            )
        )
        flags, length = random.choice((0, 0, 0, 1, 2, 0x80, 0xFF)), random.choice((None, None, 0, 2**31, 2**32 - 1))
        body = message
        if "grpc" in kind or "connect" in kind:
            body = pack(">BI", flags, len(message) if length is None else length) + message
        if kind.endswith("text"):
            body = b64encode(body)
        if random.random() < 0.2:
            body = mutated(body, random)
        return Shot(f"rpc {method}", _post(random, "POST", method, token, body, kind))


def _post(random: Random, verb: str, target: str, token: str, body: bytes, kind: str) -> bytes:
    lines = [f"{verb} {target} HTTP/1.1", "host: x", "connection: close", f"content-length: {len(body)}"]
    if kind:
        lines.append(f"content-type: {kind}")
    if token and random.random() < 0.9:
        lines.append(f"authorization: Bearer {token}")
    if random.random() < 0.1:
        lines.append(
            random.choice(
                (
                    "content-encoding: gzip",
                    "accept-encoding: gzip;q=x, *",
                    "accept: text/event-stream",
                    "idempotency-key: ",
                    "idempotency-key: k-1",
                    "traceparent: 00-x",
                    "if-none-match: *",
                    "expect: 100-continue",
                    "te: trailers",
                    "cookie: a=b; a",
                    "x-forwarded-for: 1, 2",
                    "grpc-encoding: gzip",
                    "origin: null",
                    "sec-fetch-site: cross-site",
                    "range: bytes=0-",
                    "x-api-key: x",
                )
            )
        )
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
