"""etcd v3: etcd://user:password@host:2379,host:2379/souk?lease=10&settle=0&tls=false, over its JSON gateway.

An instance is the key `/souk/services/SERVICE/ID`, with JSON as its value, attached to a lease of its own; while it
says that it is not healthy the key is not there, and the lease goes on. A watch lists, then follows a watch
stream from the revision of the list; it lists again when that revision has been compacted, when the
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
"""Seconds without a word after which a watch lists again: a server that hangs is noticed, a lost event is found."""


Known = dict[str, Instance]
"""Instances by the gateway's text of their key."""


class EtcdBackend:
    """An etcd server, or the members of a cluster."""

    def __init__(self, options: UrlOptions) -> None:
        self._gateway = EtcdClient(options)
        self._prefix = f"{options.path}/services"
        self._ttl = max(1, math.ceil(options.lease))
        self.grace = options.lease + options.settle
        self._leases: dict[str, str] = {}

    def check(self, instance: Instance) -> None:
        """It holds whatever the port allows."""

    async def announce(self, claim: str, instance: Instance, healthy: bool) -> None:
        """Puts the key under the claim's lease, or takes it away."""
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
        """Keeps the lease alive; one that ran out has taken its key along. Puts right a key that somebody removed."""
        lease = self._leases.get(claim)
        if lease is None:
            return False
        reply = await self._gateway.call("/v3/lease/keepalive", {"ID": lease})
        alive = int(reply.body["result"].get("TTL", 0)) > 0
        if not alive:
            del self._leases[claim]
        return alive and not (healthy and await self._holder(instance) is None)

    async def owns(self, claim: str, instance: Instance) -> bool:
        """Whether the key is under this claim's lease, or is not there."""
        return await self._holder(instance) in (None, self._leases.get(claim))

    async def withdraw(self, claim: str, instance: Instance) -> None:
        """Revokes the lease, and with it the key, unless that is under another by now."""
        lease = self._leases.pop(claim, None)
        if lease:
            await self._gateway.call("/v3/lease/revoke", {"ID": lease}, allowed=(404,))

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """Lists and follows, again and again."""
        within = f"{self._prefix}/{service}/"
        # "0" comes after "/": the range holds all keys that begin with `within`.
        span = {"key": binary(within), "range_end": binary(within[:-1] + "0")}
        while True:
            reply = await self._gateway.call("/v3/kv/range", span)
            known: Known = {}
            apply([{"kv": kv} for kv in reply.body.get("kvs", [])], known)
            feed.hear(known.values())
            await self._watch({**span, "start_revision": int(reply.body["header"]["revision"]) + 1}, known, feed)

    async def close(self) -> None:
        """Closes every connection."""
        await self._gateway.close()

    async def _watch(self, span: Mapping[str, Any], known: Known, feed: WatchFeed) -> None:
        """Applies events to what is known until it is time to list again."""
        stream = self._gateway.watch(span)
        try:
            while True:
                async with asyncio.timeout(feed.settles_in(SILENCE)):
                    result = await anext(stream)
                if result.get("canceled"):
                    return
                if result.get("events"):
                    apply(result["events"], known)
                    feed.hear(known.values())
        except TimeoutError:
            return
        finally:
            await stream.aclose()

    async def _holder(self, instance: Instance) -> str | None:
        """The lease of the key, "0" for none; None when the key is not there."""
        reply = await self._gateway.call("/v3/kv/range", {"key": self._key(instance)})
        return next((str(kv.get("lease", "0")) for kv in reply.body.get("kvs", [])), None)

    async def _grant(self, claim: str) -> str:
        reply = await self._gateway.call("/v3/lease/grant", {"TTL": self._ttl})
        lease = self._leases[claim] = str(reply.body["ID"])
        return lease

    def _key(self, instance: Instance) -> str:
        return binary(f"{self._prefix}/{instance.service}/{instance.id}")


def apply(events: list[dict[str, Any]], known: Known) -> None:
    """Changes what is known by key; an event without a type is a put."""
    for event in events:
        instance = None if event.get("type") == "DELETE" else instance_of(event["kv"].get("value", ""))
        if instance is None:
            known.pop(event["kv"]["key"], None)
        else:
            known[event["kv"]["key"]] = instance


def instance_of(value: str) -> Instance | None:
    """The instance in the gateway's text of a value; None when somebody has written something else."""
    try:
        return Instance(**json.loads(text(value)))
    except (TypeError, ValueError):
        return None


async def open(url: SplitResult, clock: Clock) -> BackedRegistry:  # noqa: A001 - an adapter's `open`
    """Opens the cluster at an URL; does not wait for it."""
    options = options_of(url, 2379, "/souk")
    return BackedRegistry(EtcdBackend(options), clock, options.lease)


UNAUTHENTICATED = 401
"""A token that ran out, or none yet."""


class EtcdClient:
    """etcd's API as JSON over HTTP: every etcd serves it beside gRPC, at the same port (since 3.4 under /v3). Calls
    with a token, which is asked for when etcd wants one.

    Chosen over the Python clients that exist: their generated code is two major versions of protobuf behind,
    and none of them comes back by itself from a compaction or a stream that broke.
    """

    def __init__(self, options: UrlOptions) -> None:
        self._api = Api("etcd", options)
        self._options = options
        self._token: dict[str, str] = {}

    async def call(self, path: str, body: Mapping[str, Any], allowed: tuple[int, ...] = ()) -> ApiReply:
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
        credentials = {"name": self._options.user, "password": self._options.password}
        reply = await self._api.call("POST", "/v3/auth/authenticate", json=credentials)
        self._token = {"Authorization": str(reply.body["token"])}


def binary(given: str) -> str:
    """Text as the gateway wants bytes."""
    return b64encode(given.encode()).decode()


def text(given: str) -> str:
    """Text out of the gateway's bytes."""
    return b64decode(given).decode()
