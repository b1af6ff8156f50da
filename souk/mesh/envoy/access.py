"""Access: who may call which method, as filters of Envoy; whoever is not named is refused.

What the filters go by stands in the routes, so that a change of it counts for the next call of each connection that is
open already. Without those routes they let nobody in.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from souk.mesh.envoy.parts import Part, extension, typed
from souk.mesh.identity.refusals import DeniedNames
from souk.mesh.policy.who_may_call import EVERYTHING

_NAME, _TYPE = "envoy.filters.http.rbac", "filters.http.rbac.v3.RBAC"
_DENIED = f"{_NAME}.denied"


def access_filters() -> Iterator[dict[str, Any]]:
    """Makes the filters, which go by the `access_rules` of the route."""
    yield extension(_DENIED, _TYPE)
    yield extension(_NAME, _TYPE, rules={"action": "ALLOW"})


def access_rules(allowed: Mapping[str, Iterable[str]], denied: DeniedNames) -> dict[str, Any]:
    """Makes what a route says to each of the filters: whose certificates are `denied` may call nothing, and then come
    the SPIFFE ids that may call, by the path of the method."""
    rules: dict[str, Any] = {}
    if principals := [*map(_uri, sorted(denied.spiffe_ids)), *map(_dns, sorted(denied.dns_names))]:
        everything = {"permissions": [{"any": True}], "principals": principals}
        rules[_DENIED] = _of_route({"action": "DENY", "policies": {"denied": everything}})
    together: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, ids in allowed.items():
        together[tuple(sorted(set(ids)))].append(path)
    policies = {_name(ids): _policy(paths, ids) for ids, paths in together.items() if ids}
    return {**rules, _NAME: _of_route({"action": "ALLOW", "policies": policies})}


def _of_route(rules: Part) -> Part:
    return typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": rules})


def _name(ids: Iterable[str]) -> str:
    return ", ".join(one.rpartition("/")[2] for one in ids)


def _policy(paths: Iterable[str], ids: Iterable[str]) -> Part:
    return {
        "permissions": [
            {"any": True} if path == EVERYTHING else {"url_path": {"path": {"exact": path}}} for path in sorted(paths)
        ],
        "principals": [_uri(one) for one in ids],
    }


def _uri(name: str) -> Part:
    return _shown("URI", name)


def _dns(name: str) -> Part:
    return _shown("DNS", name)


def _shown(kind: str, name: str) -> Part:
    """A caller whose certificate has a name of that kind."""
    matcher = {"san_type": kind, "matcher": {"exact": name}}
    return {
        "custom": extension(
            "envoy.rbac.principals.mtls_authenticated",
            "rbac.principals.mtls_authenticated.v3.Config",
            san_matcher=matcher,
        )
    }
