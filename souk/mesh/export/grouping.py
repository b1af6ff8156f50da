"""Methods with the same rules, together: what is exported has one entry for each group."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from souk.mesh.policy.policy import HeaderRule, MethodRules, ServiceRules


@dataclass(frozen=True, slots=True)
class MethodGroup:
    """Methods, by full name in the order of the contract, that all have these rules."""

    methods: tuple[str, ...]
    rules: MethodRules

    @property
    def routes(self) -> Iterator[tuple[HeaderRule | None, Mapping[str, int]]]:
        """Gives where calls go, first match first: for each header, and at last for all others, weights of versions.

        Empty weights mean any instance.
        """
        split = self.rules.split
        if split is not None:
            for header in split.headers:
                yield header, {header.version: 100}
        yield None, {} if split is None else split.weights

    @property
    def time_limit(self) -> float | None:
        """The limit of the whole call in seconds: with one try, that of the try."""
        return self.rules.timeout if self.rules.tries is not None else self.rules.try_timeout


def grouped(service: ServiceRules) -> list[MethodGroup]:
    """Groups the methods of a service; a method with limits of its own stands alone."""
    groups: list[tuple[MethodRules, list[str]]] = []
    for name, rules in service.methods.items():
        same = next((methods for other, methods in groups if other == rules and rules.limits is None), None)
        if same is None:
            groups.append((rules, [name]))
        else:
            same.append(name)
    return [MethodGroup(tuple(methods), rules) for rules, methods in groups]
