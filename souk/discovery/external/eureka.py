"""The adapter to Eureka: eureka://user:password@host:8761/eureka?lease=10&poll=5&settle=30&tls=false.

An instance is UP, or DOWN while it is not healthy. A watch asks every `poll` seconds for one application:
Eureka cannot push, and as its delta covers all applications, asking for one costs less.

Eureka is slow by design. Its server answers from a cache that it refreshes every 30 s
(`eureka.server.response-cache-update-interval-ms`), looks for expired leases every 60 s
(`eviction-interval-timer-in-ms`), gives each lease twice its time, and stops removing instances when many leases
expire at once (`enable-self-preservation`). Set the first two to a second or less if Souk is to notice changes
soon, and give the first, in seconds, as `settle`: for that time a server that has just started may list nobody.

Source: Eureka REST operations (Netflix, Eureka wiki).
"""

import asyncio
import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, quote

from souk.discovery.external.backend import BackedRegistry, WatchFeed, require_port
from souk.discovery.external.http_api import Api
from souk.discovery.external.labels import CLAIM, labelled, labels
from souk.discovery.external.url_options import UrlOptions, options_of
from souk.discovery.registry import Instance
from souk.kernel.clock import Clock

FOREIGN_PORT = "gRPC_port"
"""The key in the metadata under which Spring's gRPC starters give the port, if it is not the one of HTTP."""


class EurekaBackend:
    """The backend for a Eureka server."""

    def __init__(self, options: UrlOptions, clock: Clock) -> None:
        self._api = Api("Eureka", options, _authorization(options))
        self._apps = f"{options.path}/apps"
        self._lease, self._poll = options.lease, options.poll
        self.grace = options.lease + options.settle
        self._clock = clock
        self._dirty_at: dict[str, int] = {}
        self._confirmed = False

    def check(self, instance: Instance) -> None:
        """Raises ConfigurationError for an instance at a socket, which the port allows."""
        require_port(instance, "Eureka")

    async def announce(self, claim: str, instance: Instance, healthy: bool) -> None:
        """Registers the instance, or changes its data."""
        dirty_at = max(self._clock.now() // 1_000, await self._last(claim, instance) + 1)
        host, _, port = instance.address.rpartition(":")
        described = {
            "instanceId": instance.id,
            "app": instance.service,
            "vipAddress": instance.service,
            "hostName": host,
            "ipAddr": host,
            "port": {"$": int(port), "@enabled": "true"},
            "status": _status(healthy),
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            "leaseInfo": {
                "renewalIntervalInSecs": max(1, math.floor(self._lease / 3)),
                "durationInSecs": max(1, math.ceil(self._lease)),
            },
            "metadata": labels(instance, claim),
            "lastDirtyTimestamp": str(dirty_at),
        }
        await self._api.call("POST", self._app(instance.service), json={"instance": described})
        self._dirty_at[claim] = dirty_at

    async def renew(self, claim: str, instance: Instance, healthy: bool) -> bool:
        """Sends a heartbeat."""
        params = {"status": _status(healthy), "lastDirtyTimestamp": str(self._dirty_at.get(claim, 0))}
        reply = await self._api.call("PUT", self._one(instance), params=params, allowed=(404,))
        return reply.status != 404

    async def owns(self, claim: str, instance: Instance) -> bool:
        """Returns whether the server's instance belongs to this claim, or does not exist."""
        reply = await self._api.call("GET", self._one(instance), allowed=(404,))
        return reply.status == 404 or reply.body["instance"]["metadata"].get(CLAIM) == claim

    async def withdraw(self, claim: str, instance: Instance) -> None:
        """Cancels the lease, if the instance belongs to this claim."""
        if await self.owns(claim, instance):
            await self._api.call("DELETE", self._one(instance), allowed=(404,))
        self._dirty_at.pop(claim, None)

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """Follows a service by polling."""
        while True:
            reply = await self._api.call("GET", self._app(service), allowed=(404,))
            if reply.status == 404:
                await self._confirm()
            feed.receive(_instances(service, reply.body))
            await asyncio.sleep(feed.settles_in(self._poll))

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()

    async def _confirm(self) -> None:
        """Raises RegistryAway when there is no Eureka at this path, as it also answers 404 for an unknown service."""
        if not self._confirmed:
            await self._api.call("GET", f"{self._apps}/delta")
            self._confirmed = True

    async def _last(self, claim: str, instance: Instance) -> int:
        """Returns the time of the last data of this id. Eureka ignores older data: if clocks differ or jump back, it
        would ignore an instance that has just registered."""
        if claim in self._dirty_at:
            return self._dirty_at[claim]
        reply = await self._api.call("GET", self._one(instance), allowed=(404,))
        return 0 if reply.status == 404 else int(reply.body["instance"]["lastDirtyTimestamp"])

    def _app(self, service: str) -> str:
        return f"{self._apps}/{quote(service.upper(), safe='')}"

    def _one(self, instance: Instance) -> str:
        return f"{self._app(instance.service)}/{instance.id}"


def _status(healthy: bool) -> str:
    return "UP" if healthy else "DOWN"


def _authorization(options: UrlOptions) -> Mapping[str, str]:
    if not options.user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{options.user}:{options.password}".encode()).decode()}


def _instances(service: str, body: Any) -> Iterator[Instance]:
    found = body["application"]["instance"] if body else []
    for one in found if isinstance(found, list) else [found]:
        # Names of applications are in capitals, so that two services of Souk may share one.
        if one["status"] == "UP" and (CLAIM not in one["metadata"] or one["vipAddress"] == service):
            yield _instance(service, one)


def _instance(service: str, found: dict[str, Any]) -> Instance:
    texts = {name: text for name, text in found["metadata"].items() if name != "@class"}
    host = found["ipAddr"] if CLAIM in texts or found.get("ipAddr") else found["hostName"]
    port = found["port"]["$"] if CLAIM in texts else texts.get(FOREIGN_PORT, found["port"]["$"])
    return labelled(service, found.get("instanceId") or found["hostName"], f"{host}:{port}", texts)


async def open(url: SplitResult, clock: Clock) -> BackedRegistry:  # noqa: A001 - an adapter's `open`
    """Opens the registry of the server at an URL; does not wait for a connection."""
    options = options_of(url, 8761, "/eureka", {"poll": "5", "settle": "30"})
    return BackedRegistry(EurekaBackend(options, clock), clock, options.lease)
