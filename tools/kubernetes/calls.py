"""Who calls whom: whoever may call some method of a service, by what contracts and services declare."""

from functools import cache

from names import GATEWAY, SERVICES

from souk.mesh.policy.who_may_call import WhoMayCall, who_may_call


def callers_of(service: str) -> list[str]:
    """Gives the names of those that call a service, sorted."""
    known = {GATEWAY, *(one.name for one in SERVICES)} - {service}
    return sorted(_allowed().callers_of(service) & known)


def callees_of(caller: str) -> list[str]:
    """Gives the names of the services that somebody calls, sorted."""
    return sorted(one.name for one in SERVICES if caller in callers_of(one.name))


@cache
def _allowed() -> WhoMayCall:
    return who_may_call(SERVICES)
