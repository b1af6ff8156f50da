"""The adapter to DNS: instances from SRV and A records, such as those of a Kubernetes headless service.

    dns://10.96.0.10:53/default.svc.cluster.local?port=50051&name={service}-service

asks for `_grpc._tcp.NAME.default.svc.cluster.local` (SRV) and, if there is no such record and a port
is given, for `NAME.default.svc.cluster.local` (A, else AAAA). NAME is the service's name, put into `name` if
that is given; `srv` gives another port name than `_grpc._tcp`. Without a host the system's servers are asked.

DNS pushes nothing: the records are asked for again when their time to live ends. An answer without
records means that there is no instance; when a server fails or does not answer, the known instances
stay. Only SRV records have a weight (RFC 2782; of several priorities the first is used), and no record has
version, zone or metadata. The system that fills the zone leaves out instances that are not ready.
"""

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from urllib.parse import SplitResult, parse_qsl

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from souk.discovery.availability import Availability
from souk.discovery.diff import Known, by_id
from souk.discovery.registry import HEAVIEST, Instance, WatchEvent, checked
from souk.discovery.static import Unheard
from souk.discovery.watch_fanout import Publish, Watches
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError

SOONEST, LATEST = 0.5, 30.0
"""The least and the most seconds between two queries, whatever the records' time to live."""

PATIENCE = 2.0
"""Seconds that one query may take."""

_NOBODY = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)

Answer: TypeAlias = "tuple[Known, float]"
"""Instances, and the seconds for which they are valid."""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """The names to ask for, below `domain`; `port` is for instances that only have an address record."""

    domain: str
    port: int = 0
    name: str = "{service}"
    srv: str = "_grpc._tcp"


class DnsRegistry:
    """The port's `Registry` over a DNS resolver."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, settings: DnsSettings) -> None:
        self._resolver = resolver
        self._settings = settings
        self._availability = Availability((dns.exception.DNSException, OSError))
        self._watches = Watches(self._follow)

    @property
    def away(self) -> str:
        """Why no server answers, in one line; empty when one does."""
        return self._availability.away

    async def register(self, instance: Instance) -> Unheard:
        """Only checks the instance: the system that fills the zone decides, as Kubernetes does by readiness."""
        return Unheard(checked(instance))

    def watch(self, service: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields the changes among a service's instances, which show when a record's time to live ends."""
        return self._watches.watch(service)

    async def close(self) -> None:
        """Ends every watch."""
        await self._watches.close()

    async def _follow(self, service: str, publish: Publish) -> None:
        await self._availability.keep(partial(self._poll, service, publish))

    async def _poll(self, service: str, publish: Publish) -> None:
        while True:
            known, seconds = await self._ask(service)
            self._availability.found()
            publish(known)
            await asyncio.sleep(min(max(seconds, SOONEST), LATEST))

    async def _ask(self, service: str) -> Answer:
        name = f"{self._settings.name.format(service=service)}.{self._settings.domain}."
        records = await self._records(f"{self._settings.srv}.{name}", "SRV")
        if records is not None:
            return await self._by_records(service, records)
        if self._settings.port:
            return await self._by_addresses(service, name)
        return {}, SOONEST

    async def _by_records(self, service: str, records: dns.resolver.Answer) -> Answer:
        found = [record for record in records if isinstance(record, SRV) and record.port]
        first = min((record.priority for record in found), default=0)
        found = [record for record in found if record.priority == first]
        hosts = await asyncio.gather(*(self._addresses(record.target.to_text()) for record in found))
        targets = Counter(record.target for record in found)
        instances = [
            Instance(
                service,
                _id(record, alone=targets[record.target] == 1),
                _join(addresses[0], record.port),
                weight=min(max(record.weight, 1), HEAVIEST),
            )
            for record, (addresses, _) in zip(found, hosts, strict=True)
            if addresses
        ]
        return by_id(instances), min([_time_to_live(records), *(seconds for _, seconds in hosts)])

    async def _by_addresses(self, service: str, name: str) -> Answer:
        addresses, seconds = await self._addresses(name)
        port = self._settings.port
        return by_id(
            Instance(service, f"{host.replace(':', '-')}-{port}", _join(host, port)) for host in addresses
        ), seconds

    async def _addresses(self, host: str) -> tuple[Sequence[str], float]:
        """Returns a host's addresses in order, and the seconds for which they are valid."""
        for kind in ("A", "AAAA"):
            records = await self._records(host, kind)
            if records is not None:
                return sorted(record.to_text() for record in records), _time_to_live(records)
        return (), SOONEST

    async def _records(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """Returns the records, or None when there are none. Raises the resolver's error when no server can tell."""
        try:
            return await self._resolver.resolve(name, kind, search=False, lifetime=PATIENCE)
        except _NOBODY:
            return None


def _time_to_live(records: dns.resolver.Answer) -> float:
    return float(records.rrset.ttl) if records.rrset is not None else SOONEST


def _id(record: SRV, alone: bool) -> str:
    """Returns the id of an instance: the host's name, which stays when its address changes, with the port if needed."""
    host = record.target.to_text(omit_final_dot=True).lower()
    return host if alone else f"{host}-{record.port}"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def open(url: SplitResult, clock: Clock) -> DnsRegistry:  # noqa: A001 - an adapter's `open`
    """Opens `dns://HOST:PORT/DOMAIN?port=&name=&srv=`. Raises ConfigurationError for an URL that is wrong."""
    return DnsRegistry(await _resolver(url), _settings(url))


def _settings(url: SplitResult) -> DnsSettings:
    query = dict(parse_qsl(url.query))
    unknown = query.keys() - {"port", "name", "srv"}
    if unknown or not url.path.strip("/."):
        raise ConfigurationError(
            "a DNS registry's URL must be dns://HOST:PORT/DOMAIN, with port=, name= and srv= if need be"
        )
    try:
        query.get("name", "").format(service="")
        return DnsSettings(url.path.strip("/."), int(query.pop("port", 0)), **query)
    except (ValueError, LookupError) as error:
        raise ConfigurationError(f"wrong query in a DNS registry's URL: {error}") from error


async def _resolver(url: SplitResult) -> dns.asyncresolver.Resolver:
    if url.hostname is None:
        try:
            return dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            raise ConfigurationError("this machine has no DNS server configured: name one in the URL") from error
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [await _address_of(url.hostname)]
    resolver.port = url.port or 53
    return resolver


async def _address_of(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ConfigurationError(f"the DNS server {host} has no address: {error}") from error
    return str(found[0][4][0])
