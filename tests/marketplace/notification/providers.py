"""Servers on loopback that speak the protocols of an SMS provider and of a push service, and check what they get."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from marketplace.notification.adapters.vapid import base64url, from_base64url
from marketplace.notification.adapters.web_push_encryption import point_of
from souk.testing.certificates import Authority

ACCOUNT, TOKEN, NUMBER = "AC0123456789abcdef", "a-secret-token", "+15550001111"


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Provider:
    """A small HTTP/1.1 server; `reply` is sent in place of the usual answer, `drops` ends connections unanswered."""

    port: int = 0
    tls: SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    reply: tuple[int, dict[str, str], Any] | None = None
    drops: bool = False
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        raise NotImplementedError

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                if self.drops:
                    break
                usual = self.answer(asked)
                status, headers, body = self.reply if self.reply is not None and usual[0] < 400 else usual
                content = json.dumps(body).encode() if body is not None else b""
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


class SmsProvider(Provider):
    """Twilio's API: takes messages of the account with its token, and answers as Twilio does."""

    @property
    def taken(self) -> list[dict[str, str]]:
        return [{name: values[0] for name, values in parse_qs(one.body.decode()).items()} for one in self.asked]

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        if asked.headers.get("authorization", "").removeprefix("Basic ") != _basic(ACCOUNT, TOKEN):
            return failure(401, 20003, "Authenticate")
        if (asked.method, asked.path) != ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"):
            return failure(404, 20404, "The requested resource was not found")
        if asked.headers.get("content-type") != "application/x-www-form-urlencoded":
            return failure(400, 21604, "A 'To' phone number is required.")
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if not form.get("To", "").startswith("+"):
            return failure(400, 21211, f"Invalid 'To' Phone Number: {form.get('To')}")
        return 201, {}, {"sid": f"SM{len(self.asked):032x}", "status": "queued", "to": form["To"], "error_code": None}


def failure(status: int, code: int, message: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, {"code": code, "message": message, "more_info": more, "status": status}


def _basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class Browser:
    """The keys of a browser that has subscribed."""

    key: Any = field(default_factory=lambda: generate_private_key(SECP256R1()))
    secret: bytes = bytes(range(16))

    @property
    def public_key(self) -> str:
        return base64url(point_of(self.key))

    def decrypted(self, body: bytes) -> bytes:
        """Decrypts as a browser does (RFC 8188, RFC 8291), from the octets alone."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert size >= len(record) >= 17
        shared = self.key.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), sender))
        info = b"WebPush: info\x00" + point_of(self.key) + sender
        secret = HKDF(hashes.SHA256(), 32, self.secret, info).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(secret)
        plain = AESGCM(key).decrypt(nonce, record, None)
        text = plain.rstrip(b"\x00")
        assert text[-1:] == b"\x02", "the last record's delimiter"
        return text[:-1]


class PushService(Provider):
    """A push service (RFC 8030): checks VAPID and the headers, and keeps what was sent."""

    def __init__(self, application_key: str, now: Any) -> None:
        super().__init__()
        self.application_key, self.now = application_key, now
        self.refused = ""
        self.faults: dict[str, tuple[int, dict[str, str], Any]] = {}
        """Answers by the path that they are given to."""

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        if asked.path in self.faults:
            return self.faults[asked.path]
        self.refused = self._fault(asked)
        if self.refused:
            return 403 if "vapid" in self.refused else 400, {}, {"reason": self.refused}
        return 201, {"Location": f"{self.url}/message/1"}, None

    def _fault(self, asked: Asked) -> str:
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        given = dict(part.strip().split("=", 1) for part in rest.split(","))
        if scheme != "vapid" or given.get("k") != self.application_key:
            return "vapid: another key"
        return _token_fault(given["t"], self.application_key, self.url, self.now()) or _header_fault(asked.headers)


def _token_fault(token: str, key: str, audience: str, now: float) -> str:
    head, claims, signature = token.split(".")
    point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), from_base64url(key))
    raw = from_base64url(signature)
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    try:
        point.verify(encode_dss_signature(r, s), f"{head}.{claims}".encode(), ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "vapid: bad signature"
    said = json.loads(from_base64url(claims))
    if json.loads(from_base64url(head)) != {"typ": "JWT", "alg": "ES256"} or len(raw) != 64:
        return "vapid: another algorithm"
    if said["aud"] != audience or not said["sub"].startswith(("mailto:", "https:")):
        return "vapid: another audience, or no subject"
    return "" if now < said["exp"] <= now + 86_400 else "vapid: expired, or valid for too long"


def _header_fault(headers: dict[str, str]) -> str:
    if headers.get("content-encoding") != "aes128gcm" or not headers.get("ttl", "").isdigit():
        return "a header is missing"
    if headers.get("urgency") not in {"very-low", "low", "normal", "high"}:
        return "no urgency"
    topic = headers.get("topic", "")
    return "" if topic and len(topic) <= 32 and b64decode(topic + "==", altchars="-_") else "a bad topic"


def certified(authority: Authority) -> SSLContext:
    """Makes what a server on loopback shows: a certificate of this authority."""
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("push"))
    return tls


@asynccontextmanager
async def serving(provider: Any) -> AsyncIterator[Any]:
    await provider.start()
    try:
        yield provider
    finally:
        await provider.stop()
