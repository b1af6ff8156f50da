"""Canaries as JSON documents, and in words."""

from typing import Any

from google.protobuf.json_format import MessageToDict
from soukapi.v1 import canary_pb2 as pb

ENDED = frozenset({"promoted", "rolled back", "failed"})
"""States in which a canary is over."""


def canary_document(canary: pb.Canary) -> dict[str, Any]:
    """Makes the document of a canary, with every field."""
    return MessageToDict(canary, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def standing(canary: pb.Canary) -> str:
    """Says where a canary stands: its state, and what it gets."""
    if canary.state in ("stepping", "holding", "paused"):
        gets = "copies of the calls" if canary.mirrored else f"{canary.percent:g}% of the calls"
        return f"{canary.state} with {gets}, step {canary.step + 1} of {steps_of(canary)}"
    return canary.state


def steps_of(canary: pb.Canary) -> int:
    """Counts the steps of a canary, with that of mirroring."""
    return len(canary.plan.steps) + canary.plan.mirrored


def failed_share(version: pb.CanaryVersionFigures) -> float | None:
    """Gives the share of a version's calls that failed; None without calls."""
    return version.failures / version.calls if version.calls else None
