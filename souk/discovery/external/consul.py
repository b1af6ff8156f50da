"""The adapter to Consul: consul://:TOKEN@127.0.0.1:8500?lease=10&settle=20&tls=false, the agent of this host.

An instance is a service of the agent with one TTL check as its lease, which is critical while the instance
is not healthy. Consul removes an instance that stays critical (six leases, at least a minute). A watch is a
blocking query; an instance is available if it passes every check, the host's own checks included. An agent that
has just started holds every lease to have run out, and retries after 15 s a report that its servers did not get:
so for one lease and `settle` seconds such missing instances are kept.

Source: Consul's HTTP API, "Blocking queries".
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote

from souk.discovery.external.backend import BackedRegistry, WatchFeed, require_port
from souk.discovery.external.http_api import CALL, Api
from souk.discovery.external.labels import CLAIM, labelled, labels
from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.url_options import UrlOptions, options_of
from souk.discovery.registry import Instance
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

WAIT = 25.0
"""Seconds after which Consul answers a blocking query even if nothing has changed."""
PAUSE = 0.02
"""Seconds between two queries, which limits the load by a service whose checks change all the time."""
UNHEALTHY = "says that it is not healthy"
MOST_LABELS = 64
LONGEST_LABEL = 512
"""Bytes."""


class ConsulBackend:
    """The backend for a Consul agent."""

    def __init__(self, options: UrlOptions) -> None:
        token = {"X-Consul-Token": options.password} if options.password else {}
        self._api = Api("Consul", options, token)
        self._lease = options.lease
        self.grace = options.lease + options.settle

    def check(self, instance: Instance) -> None:
        """Raises ConfigurationError for a socket, and for more text than Consul holds, which the port allows."""
        require_port(instance, "Consul")
        held = labels(instance, "")
        if len(held) > MOST_LABELS:
            raise ConfigurationError(f"Consul holds {MOST_LABELS} texts of an instance, and {instance.id} has more")
        for name, text in held.items():
            if len(text.encode()) > LONGEST_LABEL or len(name) > 128:
                raise ConfigurationError(f"{name!r} of {instance.id} is longer than Consul can hold")

    async def announce(self, claim: str, instance: Instance, healthy: bool) -> None:
        """Registers the service at the agent, and replaces an earlier one with the same id."""
        host, _, port = instance.address.rpartition(":")
        await self._api.call(
            "PUT",
            "/v1/agent/service/register",
            # Without this parameter the check of an earlier claim would stay and become critical.
            params={"replace-existing-checks": "true"},
            json={
                "ID": instance.id,
                "Name": instance.service,
                "Address": host.strip("[]"),
                "Port": int(port),
                "Meta": labels(instance, claim),
                "Weights": {"Passing": instance.weight, "Warning": instance.weight},
                "Check": {
                    "CheckID": _check(claim, instance),
                    "Name": "lease",
                    "Notes": "" if healthy else UNHEALTHY,
                    "TTL": f"{round(self._lease * 1_000)}ms",
                    "Status": _status(healthy),
                    "DeregisterCriticalServiceAfter": f"{max(60, round(self._lease * 6))}s",
                },
            },
        )

    async def renew(self, claim: str, instance: Instance, healthy: bool) -> bool:
        """Reports the check as passing, or as critical."""
        path = f"/v1/agent/check/update/{_check(claim, instance)}"
        reply = await self._api.call("PUT", path, json={"Status": _status(healthy)}, allowed=(404,))
        return reply.status != 404

    async def owns(self, claim: str, instance: Instance) -> bool:
        """Returns whether the agent's service belongs to this claim, or does not exist."""
        reply = await self._api.call("GET", f"/v1/agent/service/{instance.id}", allowed=(404,))
        return reply.status == 404 or reply.body["Meta"].get(CLAIM) == claim

    async def withdraw(self, claim: str, instance: Instance) -> None:
        """Removes the service from the agent, if it belongs to this claim."""
        if await self.owns(claim, instance):
            await self._api.call("PUT", f"/v1/agent/service/deregister/{instance.id}", allowed=(404,))

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """Follows a service by blocking queries, one after the other."""
        index = 0
        while True:
            wait = feed.settles_in(WAIT)
            reply = await self._api.call(
                "GET",
                f"/v1/health/service/{quote(service, safe='')}",
                params={"index": str(index), "wait": f"{max(1, round(wait * 1_000))}ms"},
                patience=wait * 17 / 16 + CALL,  # Consul adds up to a sixteenth
            )
            raise_if_hidden(reply.headers)
            previous, index = index, next_index(index, reply.headers)
            if index < previous:
                feed.forgot()
            entries = latest([one for one in reply.body if one["Service"].get("Port")])  # 0 is left out by Consul
            feed.receive(
                (_instance(service, one) for one in entries if passes(one)), map(_id, filter(doubtful, entries))
            )
            await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()


def next_index(index: int, headers: Mapping[str, str]) -> int:
    """Returns the index for the next query: 0, for an answer at once, if Consul's index went back, else at least 1."""
    found = max(1, int(headers["X-Consul-Index"]))
    return 0 if found < index else found


def raise_if_hidden(headers: Mapping[str, str]) -> None:
    """Raises RegistryAway when Consul filters the answer for this token: a missing instance may not have left."""
    if headers.get("X-Consul-Results-Filtered-By-ACLs") == "true":
        raise RegistryAway("Consul hides instances from this token: it needs service:read and node:read")


def _check(claim: str, instance: Instance) -> str:
    return f"souk:{instance.id}:{claim}"


def _status(healthy: bool) -> str:
    return "passing" if healthy else "critical"


def latest(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keeps one entry for each id, as a process that moved has one on two hosts: a passing one, else the latest."""
    best = sorted(entries, key=lambda one: (passes(one), one["Service"]["ModifyIndex"]))
    return list({_id(one): one for one in best}.values())


def passes(entry: dict[str, Any]) -> bool:
    """Returns whether all checks are passing."""
    return all(check["Status"] == "passing" for check in entry["Checks"])


def doubtful(entry: dict[str, Any]) -> bool:
    """Returns whether a check fails although the instance did not report itself as not healthy."""
    return not passes(entry) and all(check["Notes"] != UNHEALTHY for check in entry["Checks"])


def _id(entry: dict[str, Any]) -> str:
    return str(entry["Service"]["ID"])


def _instance(service: str, entry: dict[str, Any]) -> Instance:
    found = entry["Service"]
    host = found["Address"] or entry["Node"]["Address"]
    address = f"[{host}]:{found['Port']}" if ":" in host else f"{host}:{found['Port']}"
    weight = (found.get("Weights") or {}).get("Passing", 1)
    return labelled(service, found["ID"], address, found["Meta"] or {}, weight)


async def open(url: SplitResult, clock: Clock) -> BackedRegistry:  # noqa: A001 - an adapter's `open`
    """Opens the registry of the agent at an URL; does not wait for a connection."""
    options = options_of(url, 8500, defaults={"settle": "20"})
    return BackedRegistry(ConsulBackend(options), clock, options.lease)
