"""The plan of a canary as a message of its contract, and back."""

from soukapi.v1 import canary_pb2 as pb

from souk.mesh.canary.judging.rules import parse_rule
from souk.mesh.canary.release import CanaryRelease
from souk.mesh.canary.steering.plan import EVERY, LEAST_CALLS, RULES, STEPS, CanaryPlan


def plan_message(plan: CanaryPlan) -> pb.CanaryPlan:
    """Makes the message of a plan, with the values of its settings."""
    release = plan.release
    header, value = release.header or ("", "")
    return pb.CanaryPlan(
        service=release.service,
        version=release.version,
        instances=release.instances,
        run=release.run or "",
        settings=dict(release.settings),
        header=header,
        header_value=value,
        user=release.user or "",
        mirrored=plan.mirrored,
        steps=plan.steps,
        every=plan.every,
        rules=[rule.text for rule in plan.rules],
        least_calls=plan.least_calls,
    )


def plan_of(message: pb.CanaryPlan) -> CanaryPlan:
    """Reads a plan; what is not set has its default. Raises ConfigurationError for a rule that is none."""
    release = CanaryRelease(
        service=message.service,
        version=message.version,
        instances=message.instances or 1,
        run=message.run or None,
        settings=dict(message.settings),
        header=(message.header, message.header_value) if message.header else None,
        user=message.user or None,
    )
    return CanaryPlan(
        release=release,
        steps=tuple(message.steps) or STEPS,
        every=message.every or EVERY,
        rules=tuple(parse_rule(text) for text in message.rules or RULES),
        least_calls=message.least_calls or LEAST_CALLS,
        mirrored=message.mirrored,
    )
