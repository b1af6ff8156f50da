"""The record of a canary as a message of its contract, and back."""

from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import canary_pb2 as pb

from souk.mesh.canary.judging.judge import RuleFigures
from souk.mesh.canary.steering.plan_messages import plan_message, plan_of
from souk.mesh.canary.steering.record import CanaryDecision, CanaryRecord, StepFigures, VersionFigures
from souk.mesh.canary.steering.states import CanaryEvent, CanaryState


def canary_message(record: CanaryRecord, figures: StepFigures | None = None, trouble: str = "") -> pb.Canary:
    """Makes the message of a record, with the `figures` of its present step and what hinders it now."""
    share = record.share
    return pb.Canary(
        plan=plan_message(record.plan),
        state=str(record.state),
        step=record.step,
        percent=share.percent,
        mirrored=share.mirrored,
        used=record.used,
        operator=record.operator,
        began=_moment(record.began),
        step_began=_moment(record.step_began),
        decisions=[_decision_message(one) for one in record.decisions],
        figures=None if figures is None else _figures_message(figures),
        trouble=trouble,
    )


def record_of(message: pb.Canary) -> CanaryRecord:
    """Reads a record; its evidence is kept elsewhere. Raises ValueError or ConfigurationError for what is none."""
    return CanaryRecord(
        plan_of(message.plan),
        message.began.ToMicroseconds(),
        message.step_began.ToMicroseconds(),
        CanaryState(message.state),
        message.step,
        message.used,
        message.operator,
        tuple(_decision_of(one) for one in message.decisions),
    )


def _decision_message(decision: CanaryDecision) -> pb.CanaryDecision:
    return pb.CanaryDecision(
        at=_moment(decision.at),
        event=str(decision.event),
        percent=decision.percent,
        why=decision.why,
        operator=decision.operator,
        figures=_figures_message(decision.figures),
        times=decision.times,
    )


def _decision_of(message: pb.CanaryDecision) -> CanaryDecision:
    return CanaryDecision(
        message.at.ToMicroseconds(),
        CanaryEvent(message.event),
        message.percent,
        message.why,
        message.operator,
        _figures_of(message.figures),
        message.times,
    )


def _figures_message(figures: StepFigures) -> pb.CanaryFigures:
    return pb.CanaryFigures(
        canary=_version_message(figures.canary),
        baseline=_version_message(figures.baseline),
        rules=[
            pb.CanaryRuleFigures(
                rule=one.rule,
                canary=one.canary,
                baseline=one.baseline,
                evidence=one.evidence,
                breached=one.breached,
                exceeded=one.exceeded,
                slow_after=one.slow_after,
            )
            for one in figures.rules
        ],
    )


def _figures_of(message: pb.CanaryFigures) -> StepFigures:
    rules = tuple(
        RuleFigures(
            one.rule,
            one.canary if one.HasField("canary") else None,
            one.baseline if one.HasField("baseline") else None,
            one.evidence,
            one.breached,
            one.exceeded,
            one.slow_after if one.HasField("slow_after") else None,
        )
        for one in message.rules
    )
    return StepFigures(_version_of(message.canary), _version_of(message.baseline), rules)


def _version_message(version: VersionFigures) -> pb.CanaryVersionFigures:
    return pb.CanaryVersionFigures(calls=version.calls, failures=version.failures, p99=version.p99)


def _version_of(message: pb.CanaryVersionFigures) -> VersionFigures:
    return VersionFigures(message.calls, message.failures, message.p99 if message.HasField("p99") else None)


def _moment(microseconds: int) -> Timestamp:
    made = Timestamp()
    made.FromMicroseconds(microseconds)
    return made
