"""What an adopted application says of itself in the registry, and the routes that a gateway makes of it.

Each process of an application is registered twice: under the application's name, as every service is, and under
ADOPTED, where gateways and operators see which applications there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from souk.descriptors.contract import Access, RateClass
from souk.discovery.registry import Instance
from souk.gateway.routing.model import BackendRef, HttpRoute, Match, PathMatch, RoutesFile, Rule, UpstreamSpec

ADOPTED = "souk-adopted"
"""The name under which gateways look for applications. No service may have it."""
SERVICE, PREFIX, ACCESS, RATE_CLASS, ROUTED = "service", "prefix", "access", "rate-class", "routed"
SOURCE, CONTROL, SIDECAR = "source", "control", "sidecar"
_SUFFIX = ".adopted"
ANYONE, CALLER = (one.name.lower() for one in (Access.ANYONE, Access.CALLER))
RATE_CLASSES = tuple(one.name.lower() for one in (RateClass.READ, RateClass.WRITE, RateClass.SENSITIVE))


@dataclass(frozen=True, slots=True, order=True)
class Announcement:
    """An application of the name `service`: its paths are `prefix`, and all below it.

    Gateways make a route to it if it is `routed`. `access` is `anyone` or `caller`; without a
    `rate_class` no rate is limited.
    """

    service: str
    prefix: str
    access: str = ANYONE
    rate_class: str = ""
    routed: bool = True

    def registered(self, application: Instance, control: str = "") -> Instance:
        """Makes the entry under ADOPTED of a process of this application, whose control socket is at `control`."""
        metadata = {SERVICE: self.service, PREFIX: self.prefix, ACCESS: self.access, RATE_CLASS: self.rate_class}
        metadata |= {ROUTED: str(self.routed), SOURCE: application.metadata.get(ADOPTED, ""), CONTROL: control}
        metadata |= {SIDECAR: application.metadata.get(SIDECAR, "")}
        return replace(application, service=ADOPTED, id=f"{application.id}{_SUFFIX}", metadata=metadata)

    def route(self) -> HttpRoute:
        """Makes the route to it, which has no host."""
        rule = Rule(
            name=f"adopted {self.service}",
            matches=(Match(PathMatch(value=self.prefix), line=0),),
            backends=(BackendRef(upstream_of(self.service)),),
            access=Access[self.access.upper()],
            rate_class=RateClass[self.rate_class.upper()] if self.rate_class else None,
        )
        return HttpRoute(rule.name, rules=(rule,))


def upstream_of(service: str) -> str:
    """Gives the name of an application's upstream, which none of a file has."""
    return f"application {service}"


@dataclass(frozen=True, slots=True)
class AdoptedInstance:
    """A process of an application, as the registry knows it: its own name, what runs there as MODULE:NAME, where it
    takes requests, and the paths of its control socket and of the admin socket of its sidecar, "" if it has none."""

    announcement: Announcement
    id: str
    source: str
    address: str
    control: str
    sidecar: str = ""


def adopted_instances(instances: Iterable[Instance]) -> tuple[tuple[AdoptedInstance, ...], tuple[str, ...]]:
    """Reads the entries of the registry under ADOPTED; gives the processes of applications.

    Gives also the ids of entries that cannot be read, such as those of another version.
    """
    found, unread = [], []
    for one in instances:
        metadata = one.metadata
        try:
            announcement = Announcement(
                metadata[SERVICE],
                metadata[PREFIX],
                metadata[ACCESS],
                metadata.get(RATE_CLASS, ""),
                routed=metadata.get(ROUTED, "True") == "True",
            )
            announcement.route()
        except KeyError:
            unread.append(one.id)
        else:
            name, source, control = one.id.removesuffix(_SUFFIX), metadata.get(SOURCE, ""), metadata.get(CONTROL, "")
            sidecar = metadata.get(SIDECAR, "")
            found.append(AdoptedInstance(announcement, name, source, one.address, control, sidecar))
    return tuple(found), tuple(unread)


def announced(instances: Iterable[Instance]) -> tuple[tuple[Announcement, ...], tuple[str, ...]]:
    """Gives the applications among the entries under ADOPTED that have a route, each once, and the ids of entries that
    cannot be read."""
    found, unread = adopted_instances(instances)
    return tuple(sorted({one.announcement for one in found if one.announcement.routed})), unread


def with_applications(file: RoutesFile | None, applications: Iterable[Announcement]) -> RoutesFile | None:
    """Adds the routes to applications after those of a routes file, if there is one; None if there is no route."""
    known = tuple(applications)
    if not known:
        return file
    base = file or RoutesFile("", owns_root=any(one.prefix == "/" for one in known))
    names = dict.fromkeys(one.service for one in known)
    return replace(
        base,
        routes=(*base.routes, *(one.route() for one in known)),
        upstreams=(*base.upstreams, *(UpstreamSpec(upstream_of(name), service=name) for name in names)),
    )
