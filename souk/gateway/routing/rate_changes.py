"""What the `limits` of a routes file make of the policies that the gateway began with."""

from collections.abc import Iterable

from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.limits.policy import LimitPolicy
from souk.gateway.routing.model import Finding, RoutesFile, RoutesFileRefused


def changed_policies(file: RoutesFile | None, base: Iterable[LimitPolicy]) -> tuple[LimitPolicy, ...]:
    """Returns the policies that hold with a file, or without one.

    Raises RoutesFileRefused for each change that does not fit.
    """
    policies, findings = tuple(base), []
    if file is None:
        return policies
    for change in file.limits:
        try:
            policies = from_mapping({change.name: change.values}, policies)
        except (TypeError, ValueError) as error:
            findings.append(Finding(change.line, change.column, f"limits: {error}"))
    if findings:
        raise RoutesFileRefused(file.path, findings)
    return policies
