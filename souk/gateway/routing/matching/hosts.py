"""The index of all candidates: by hostname, then by path."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.matching.paths import PathIndex, RouteCandidate
from souk.gateway.routing.model import HttpRoute, RoutesFile, Rule

T = TypeVar("T")
EVERY = ""
"""Stands for every hostname."""


class HostIndex(Generic[T]):
    """The candidates of a file. `target` makes what a rule leads to."""

    def __init__(self, file: RoutesFile, target: Callable[[HttpRoute, Rule], T]) -> None:
        by_host: dict[str, list[RouteCandidate[T]]] = {}
        for candidate in _candidates(file, target):
            by_host.setdefault(candidate.hostname, []).append(candidate)
        self.every: PathIndex[T] = PathIndex(by_host.pop(EVERY, []))
        self._exact: dict[str, PathIndex[T]] = {}
        self._suffixes: dict[str, PathIndex[T]] = {}
        for hostname, candidates in by_host.items():
            if hostname.startswith("*"):
                self._suffixes[hostname[1:]] = PathIndex(candidates)
            else:
                self._exact[hostname] = PathIndex(candidates)
        self.by_host = bool(by_host)

    def of(self, hostname: str) -> PathIndex[T]:
        """Gives the candidates of a hostname as it is written in the file; empty is every hostname."""
        if hostname.startswith("*"):
            return self._suffixes[hostname[1:]]
        return self._exact[hostname] if hostname else self.every

    def named(self, host: str) -> Iterator[PathIndex[T]]:
        """Gives the indices of the hostnames that match, the most specific first, without those of every host."""
        if host in self._exact:
            yield self._exact[host]
        if self._suffixes:
            dot = host.find(".", 1)
            while dot > 0:
                if (found := self._suffixes.get(host[dot:])) is not None:
                    yield found
                dot = host.find(".", dot + 1)

    def find_named(self, asked: Asked) -> RouteCandidate[T] | None:
        """Gives the best candidate of a route that names this request's host; None when there is none."""
        if not self.by_host:
            return None
        found = (index.find(asked) for index in self.named(asked.host))
        return next((one for one in found if one is not None), None)

    def find(self, asked: Asked) -> RouteCandidate[T] | None:
        """Gives the best candidate of all."""
        return self.find_named(asked) or self.every.find(asked)

    def __iter__(self) -> Iterator[RouteCandidate[T]]:
        for index in (*self._exact.values(), *self._suffixes.values(), self.every):
            yield from index


def _candidates(file: RoutesFile, target: Callable[[HttpRoute, Rule], T]) -> Iterator[RouteCandidate[T]]:
    order = 0
    for route in file.routes:
        for rule in route.rules:
            leads_to = target(route, rule)
            for match in rule.matches:
                order += 1
                for hostname in route.hostnames or (EVERY,):
                    yield RouteCandidate(match, rule, route, hostname, order, leads_to)
