"""Consul: consul://:TOKEN@127.0.0.1:8500?lease=10&settle=20&tls=false, the agent of this host.

An instance is a service of the agent with one TTL check, its lease, which is critical while the instance
says that it is not healthy. Consul itself removes what has been critical for longer (a minute at least).
A watch is a blocking query; what passes every check, the host's own among them, is there. An agent that has
just started holds every lease to have run out, and tries again after 15 s what it could not tell its servers:
for one lease and `settle` seconds that is not believed.

Source: Consul's HTTP API, "Blocking queries".
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote

from souk.discovery.external.backend import BackedRegistry, WatchFeed
from souk.discovery.external.http_api import CALL, Api
from souk.discovery.external.labels import CLAIM, labelled, labels
from souk.discovery.external.leases import RegistryAway
from souk.discovery.external.url_options import UrlOptions, options_of
from souk.discovery.registry import Instance
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

WAIT = 25.0
"""Seconds that Consul may take to say that nothing has changed."""
PAUSE = 0.02
"""Seconds between two queries: the most that a service whose checks change all the time can cost."""
UNHEALTHY = "says that it is not healthy"
MOST_LABELS = 64
LONGEST_LABEL = 512
"""Bytes."""


class ConsulBackend:
    """A Consul agent."""

    def __init__(self, options: UrlOptions) -> None:
        token = {"X-Consul-Token": options.password} if options.password else {}
        self._api = Api("Consul", options, token)
        self._lease = options.lease
        self.grace = options.lease + options.settle

    def check(self, instance: Instance) -> None:
        """Consul holds less text than the port."""
        held = labels(instance, "")
        if len(held) > MOST_LABELS:
            raise ConfigurationError(f"Consul holds {MOST_LABELS} texts of an instance, and {instance.id} has more")
        for name, text in held.items():
            if len(text.encode()) > LONGEST_LABEL or len(name) > 128:
                raise ConfigurationError(f"{name!r} of {instance.id} is longer than Consul can hold")

    async def announce(self, claim: str, instance: Instance, healthy: bool) -> None:
        """Registers at the agent, in place of whatever has the id."""
        host, _, port = instance.address.rpartition(":")
        await self._api.call(
            "PUT",
            "/v1/agent/service/register",
            # Without it the check of an earlier claim would stay and become critical.
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
        """Passes the check, or says that it is critical."""
        path = f"/v1/agent/check/update/{_check(claim, instance)}"
        reply = await self._api.call("PUT", path, json={"Status": _status(healthy)}, allowed=(404,))
        return reply.status != 404

    async def owns(self, claim: str, instance: Instance) -> bool:
        """Whether the agent's service is this claim's, or is not there."""
        reply = await self._api.call("GET", f"/v1/agent/service/{instance.id}", allowed=(404,))
        return reply.status == 404 or reply.body["Meta"].get(CLAIM) == claim

    async def withdraw(self, claim: str, instance: Instance) -> None:
        """Removes the service from the agent."""
        if await self.owns(claim, instance):
            await self._api.call("PUT", f"/v1/agent/service/deregister/{instance.id}", allowed=(404,))

    async def listen(self, service: str, feed: WatchFeed) -> None:
        """One blocking query after the other."""
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
            feed.hear((_instance(service, one) for one in entries if passes(one)), map(_id, filter(doubtful, entries)))
            await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        """Closes every connection."""
        await self._api.close()


def next_index(index: int, headers: Mapping[str, str]) -> int:
    """What the next query waits for: 0, an answer at once, when Consul's index went back; never below 1 else."""
    found = max(1, int(headers["X-Consul-Index"]))
    return 0 if found < index else found


def raise_if_hidden(headers: Mapping[str, str]) -> None:
    """Raises RegistryAway when a token sees less than there is: who is missing then may not have left."""
    if headers.get("X-Consul-Results-Filtered-By-ACLs") == "true":
        raise RegistryAway("Consul hides instances from this token: it needs service:read and node:read")


def _check(claim: str, instance: Instance) -> str:
    return f"souk:{instance.id}:{claim}"


def _status(healthy: bool) -> str:
    return "passing" if healthy else "critical"


def latest(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of two hosts with the same id, as when a process has moved, the one that passes, and the later one."""
    best = sorted(entries, key=lambda one: (passes(one), one["Service"]["ModifyIndex"]))
    return list({_id(one): one for one in best}.values())


def passes(entry: dict[str, Any]) -> bool:
    """Whether no check objects."""
    return all(check["Status"] == "passing" for check in entry["Checks"])


def doubtful(entry: dict[str, Any]) -> bool:
    """Whether a check objects although the instance has not said so itself."""
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
    """Opens the agent at an URL; does not wait for it."""
    options = options_of(url, 8500, defaults={"settle": "20"})
    return BackedRegistry(ConsulBackend(options), clock, options.lease)
