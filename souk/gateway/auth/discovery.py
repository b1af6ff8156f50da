"""Other issuers of tokens, found by OpenID Connect Discovery 1.0: their configuration, and the keys that it points to.

What an issuer answers decides which addresses are asked next, so it is trusted with as little as possible: https
only (plain http on loopback, for development), the issuer's own host or one that the settings list, no redirects,
limits on size and time. Nothing is asked at the start, so an issuer that is away does not stop it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson

from souk.gateway.auth.claims import TrustedIssuer
from souk.gateway.auth.jwks import SigningKeys
from souk.gateway.http.problem import Problem
from souk.gateway.settings import GatewaySettings, IssuerSettings
from souk.http1.client import HttpClient, NoAnswer, NotSent
from souk.kernel.addresses import ON_LOOPBACK
from souk.kernel.clock import Clock
from souk.telemetry.logs import logger

WELL_KNOWN = "/.well-known/openid-configuration"
LARGEST_DOCUMENT = 256 * 1024
"""The most octets of a configuration, or of a set of keys."""


def is_safe(url: str) -> bool:
    """Returns whether a URL may be asked: https, or http on loopback, and nothing beside host, port and path."""
    try:
        parts = urlsplit(url)
        bare = not (parts.username or parts.password or parts.query or parts.fragment) and parts.port != 0
    except ValueError:
        return False
    plain = parts.scheme == "http" and parts.hostname in ON_LOOPBACK
    return bare and bool(parts.hostname) and (parts.scheme == "https" or plain) and url.isascii() and url.isprintable()


def found_issuer(settings: IssuerSettings, gateway: GatewaySettings, clock: Clock) -> TrustedIssuer:
    """Makes an issuer whose keys are fetched as its configuration says, once they are needed."""
    discovery = IssuerDiscovery(settings, gateway.issuer_timeout)
    keys = SigningKeys(discovery.keys, gateway, clock, algorithms=settings.algorithms, age=gateway.issuer_jwks_age)
    return TrustedIssuer(settings.issuer, settings.audience, keys, settings)


class IssuerDiscovery:
    """Asks one issuer for its keys."""

    def __init__(self, settings: IssuerSettings, timeout: float) -> None:
        self._settings, self._timeout = settings, timeout
        self._hosts = {urlsplit(settings.issuer).netloc, *settings.jwks_hosts}

    async def keys(self) -> Mapping[str, Any]:
        """Returns its JSON Web Key Set. Raises Problem 503 when it is away or says something that is not safe."""
        issuer = self._settings.issuer
        try:
            async with asyncio.timeout(2 * self._timeout):
                described = await self._document(issuer.rstrip("/") + WELL_KNOWN)
                if described.get("issuer") != issuer:
                    raise self._unusable("it calls itself by another name")
                where = described.get("jwks_uri")
                if not isinstance(where, str) or not is_safe(where) or not self._may_hold_keys(urlsplit(where)):
                    raise self._unusable("its keys are at an address that may not be asked")
                found = await self._document(where)
        except TimeoutError:
            raise self._unusable("it takes too long") from None
        keys = found.get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise self._unusable("its keys cannot be read")
        return {"keys": keys}

    def _may_hold_keys(self, where: SplitResult) -> bool:
        # A document that came over TLS may not lead away from it.
        as_safe = where.scheme == "https" or urlsplit(self._settings.issuer).scheme == "http"
        return as_safe and where.netloc in self._hosts

    async def _document(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        client = HttpClient(f"{parts.scheme}://{parts.netloc}", self._timeout)
        try:
            status, body = await client.request("GET", parts.path or "/", None, {"accept": "application/json"})
        except (NotSent, NoAnswer) as error:
            raise self._unusable(str(error)) from None
        finally:
            await client.close()
        if status != 200 or len(body) > LARGEST_DOCUMENT:
            raise self._unusable(f"it answered {status} with {len(body)} octets")
        try:
            document = orjson.loads(body)
        except ValueError:
            raise self._unusable("its answer is no JSON") from None
        if not isinstance(document, dict):
            raise self._unusable("its answer is no JSON object")
        return document

    def _unusable(self, why: str) -> Problem:
        logger("gateway").warning("an issuer of tokens cannot be used", issuer=self._settings.name, why=why)
        return Problem(503, "ISSUER_UNAVAILABLE", "the issuer of this token cannot be asked for its keys now")
