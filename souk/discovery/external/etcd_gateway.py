"""etcd's API as JSON over HTTP: every etcd serves it beside gRPC, at the same port (since 3.4 under /v3).

Chosen over the Python clients that exist: their generated code is two major versions of protobuf behind,
and none of them comes back by itself from a compaction or a stream that broke.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from souk.discovery.external.http_api import Api, Reply
from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.url_options import Options

UNAUTHENTICATED = 401
"""A token that ran out, or none yet."""


class Gateway:
    """Calls with a token, which is asked for when etcd wants one."""

    def __init__(self, options: Options) -> None:
        self._api = Api("etcd", options)
        self._options = options
        self._token: dict[str, str] = {}

    async def call(self, path: str, body: Mapping[str, Any], allowed: tuple[int, ...] = ()) -> Reply:
        """Calls; an answer that is neither a success nor in `allowed` is a RegistryAway."""
        wanted = (*allowed, UNAUTHENTICATED) if self._options.user else allowed
        if self._options.user and not self._token:
            await self._authenticate()
        reply = await self._api.call("POST", path, json=body, allowed=wanted, headers=self._token)
        if reply.status == UNAUTHENTICATED and self._options.user:
            await self._authenticate()
            reply = await self._api.call("POST", path, json=body, allowed=allowed, headers=self._token)
        return reply

    async def watch(self, span: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """What a watch stream tells, its creation included. Fails when the stream ends."""
        async with self._api.lines("/v3/watch", {"create_request": span}, self._token) as lines:
            async for line in lines:
                answer = json.loads(line)
                if "error" in answer:
                    raise RegistryAway(f"etcd has ended the watch: {answer['error']}")
                yield answer["result"]

    async def close(self) -> None:
        """Closes every connection."""
        await self._api.close()

    async def _authenticate(self) -> None:
        said = {"name": self._options.user, "password": self._options.password}
        reply = await self._api.call("POST", "/v3/auth/authenticate", json=said)
        self._token = {"Authorization": str(reply.body["token"])}


def binary(given: str) -> str:
    """Text as the gateway wants bytes."""
    return b64encode(given.encode()).decode()


def text(given: str) -> str:
    """Text out of the gateway's bytes."""
    return b64decode(given).decode()
