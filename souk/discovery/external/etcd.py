"""The adapter to etcd v3: etcd://user:password@host:2379,host:2379/souk?lease=10&settle=0&tls=false, by its JSON API.

An instance is the key `/souk/services/SERVICE/ID`, with JSON as its value, attached to a lease of its own. While it
is not healthy the key does not exist, and the lease goes on. A watch lists the keys, then follows a watch
stream from the revision of the list. It lists again when that revision has been compacted, when the
stream breaks, and after some silence.

Source: etcd's API guarantees, "Watch APIs", and `api_grpc_gateway`.
"""

import asyncio
import json
import math
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import SplitResult

from souk.discovery.external.backend import BackedRegistry, WatchFeed
from souk.discovery.external.http_api import Api, ApiReply
from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.url_options import UrlOptions, options_of
from souk.discovery.registry import Instance
from souk.kernel.clock import Clock

SILENCE = 15.0
"""Seconds without an event after which a watch lists again, to notice a server that hangs and find lost events."""


Known = dict[str, Instance]
"""Instances by their key, in base64 as the JSON API has it."""


class EtcdBackend:
    """The backend for an etcd server, or for the members of a cluster."""

    def __init__(self, options: UrlOptions) -> None:
        self._gateway = EtcdClient(options)
        self._prefix = f"{options.path}/services"
        self._ttl = max(1, math.ceil(options.lease))
        self.grace = options.lease + options.settle
        self._leases: dict[str, str] = {}

    def check(self, instance: Instance) -> None:
        """Accepts every instance: etcd holds all that the port allows."""

    async def announce(self, claim: str, instance: Instance, healthy: bool) -> None:
        """Puts the key under the claim's lease, or deletes it when the instance is not healthy."""
        lease = self._leases.get(claim) or await self._grant(claim)
        key = self._key(instance)
        if not healthy:
            await self._gateway.call("/v3/kv/deleterange", {"key": key})
            return
        put = {"key": key, "value": binary(json.dumps(asdict(instance))), "lease": lease}
        reply = await self._gateway.call("/v3/kv/put", put, allowed=(404,))
        if reply.status == 404:
            self._leases.pop(claim, None)
            raise RegistryAway("etcd has lost the lease")

    async def renew(self, claim: str, instance: Instance, healthy: bool) -> bool:
        """Keeps the lease alive. Returns false when the lease, and with it the key, or the key alone is gone."""
        lease = self._leases.get(claim)
        if lease is None:
            return False
        reply = await self._gateway.call("/v3/lease/keepalive", {"ID": lease})
        alive = int(reply.body["result"].get("TTL", 0)) > 0
        if not alive:
            del self._leases[claim]
        return alive and not (healthy and await self._holder(instance) is None)

    async def owns(self, claim: str, instance: Instance) -> bool:
        """Returns whether the key is under this claim's lease, or does not exist."""
        return await self._holder(instance) in (None, self._leases.get(claim))

    async def withdraw(self, claim: str, instance: Instance) -> None:
        """Revokes the lease, and with it the key, unless the key is under another lease by now."""
        lease = self._leases.pop(claim, None)
        if lease:
            await self._gateway.call("/v3/lease/revoke", {"ID": lease}, allowed=(404,))

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """Lists the keys of a service and follows their changes, again and again."""
        within = f"{self._prefix}/{service}/"
        # "0" comes after "/": the range holds all keys that begin with `within`.
        span = {"key": binary(within), "range_end": binary(within[:-1] + "0")}
        while True:
            reply = await self._gateway.call("/v3/kv/range", span)
            known: Known = {}
            apply([{"kv": kv} for kv in reply.body.get("kvs", [])], known)
            feed.receive(known.values())
            await self._watch({**span, "start_revision": int(reply.body["header"]["revision"]) + 1}, known, feed)

    async def close(self) -> None:
        """Closes all connections."""
        await self._gateway.close()

    async def _watch(self, span: Mapping[str, Any], known: Known, feed: WatchFeed) -> None:
        """Applies events to the known instances until it is time to list again."""
        stream = self._gateway.watch(span)
        try:
            while True:
                async with asyncio.timeout(feed.settles_in(SILENCE)):
                    result = await anext(stream)
                if result.get("canceled"):
                    return
                if result.get("events"):
                    apply(result["events"], known)
                    feed.receive(known.values())
        except TimeoutError:
            return
        finally:
            await stream.aclose()

    async def _holder(self, instance: Instance) -> str | None:
        """Returns the lease of the key, "0" for none; None when the key does not exist."""
        reply = await self._gateway.call("/v3/kv/range", {"key": self._key(instance)})
        return next((str(kv.get("lease", "0")) for kv in reply.body.get("kvs", [])), None)

    async def _grant(self, claim: str) -> str:
        reply = await self._gateway.call("/v3/lease/grant", {"TTL": self._ttl})
        lease = self._leases[claim] = str(reply.body["ID"])
        return lease

    def _key(self, instance: Instance) -> str:
        return binary(f"{self._prefix}/{instance.service}/{instance.id}")


def apply(events: list[dict[str, Any]], known: Known) -> None:
    """Applies events to the known instances; an event without a type is a put."""
    for event in events:
        instance = None if event.get("type") == "DELETE" else instance_of(event["kv"].get("value", ""))
        if instance is None:
            known.pop(event["kv"]["key"], None)
        else:
            known[event["kv"]["key"]] = instance


def instance_of(value: str) -> Instance | None:
    """Returns the instance in a value, in base64; None when the value is something else."""
    try:
        return Instance(**json.loads(text(value)))
    except (TypeError, ValueError):
        return None


async def open(url: SplitResult, clock: Clock) -> BackedRegistry:  # noqa: A001 - an adapter's `open`
    """Opens the registry of the cluster at an URL; does not wait for a connection."""
    options = options_of(url, 2379, "/souk")
    return BackedRegistry(EtcdBackend(options), clock, options.lease)


UNAUTHENTICATED = 401
"""The HTTP status for a token that has expired, or that is missing."""


class EtcdClient:
    """A client of etcd's JSON API: every etcd serves it beside gRPC, at the same port (since 3.4 under /v3). If the
    URL names a user it authenticates, and again when the token has expired.

    It is used instead of the existing Python clients: their generated code is two major versions of protobuf behind,
    and none of them recovers by itself from a compaction or a broken stream.
    """

    def __init__(self, options: UrlOptions) -> None:
        self._api = Api("etcd", options)
        self._options = options
        self._token: dict[str, str] = {}

    async def call(self, path: str, body: Mapping[str, Any], allowed: tuple[int, ...] = ()) -> ApiReply:
        """Makes a call. Raises RegistryAway for an answer that is neither a success nor in `allowed`."""
        wanted = (*allowed, UNAUTHENTICATED) if self._options.user else allowed
        if self._options.user and not self._token:
            await self._authenticate()
        reply = await self._api.call("POST", path, json=body, allowed=wanted, headers=self._token)
        if reply.status == UNAUTHENTICATED and self._options.user:
            await self._authenticate()
            reply = await self._api.call("POST", path, json=body, allowed=allowed, headers=self._token)
        return reply

    async def watch(self, span: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yields the messages of a watch stream, its creation included. Raises RegistryAway when the stream ends."""
        async with self._api.lines("/v3/watch", {"create_request": span}, self._token) as lines:
            async for line in lines:
                answer = json.loads(line)
                if "error" in answer:
                    raise RegistryAway(f"etcd has ended the watch: {answer['error']}")
                yield answer["result"]

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()

    async def _authenticate(self) -> None:
        credentials = {"name": self._options.user, "password": self._options.password}
        reply = await self._api.call("POST", "/v3/auth/authenticate", json=credentials)
        self._token = {"Authorization": str(reply.body["token"])}


def binary(given: str) -> str:
    """Encodes text as the JSON API has bytes: in base64."""
    return b64encode(given.encode()).decode()


def text(given: str) -> str:
    """Decodes text from base64."""
    return b64decode(given).decode()
