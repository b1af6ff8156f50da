"""The file of the canaries: DATA/mesh/canary/canaries.json, readable by its owner alone and replaced atomically.

It has the last canary of each service. A control plane that was killed goes on from it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from soukapi.v1 import canary_pb2

from souk.kernel import private_files
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.judging.evidence import ALTERNATIVES
from souk.mesh.canary.judging.judge import CallCounts, RuleEvidence
from souk.mesh.canary.steering.messages import canary_message, record_of
from souk.mesh.canary.steering.record import CanaryRecord
from souk.runtime.data.directory import private, unusable

FORMAT = 1
FOLDER = Path("mesh") / "canary"
"""The folder of the file, below a data directory."""
FILE = "canaries.json"
_ASIDE = f".{FILE}.new"


class CanaryStore:
    """The file of one data directory, for one control plane. Each method may raise ConfigurationError, in one line."""

    def __init__(self, data: Path) -> None:
        self._folder = private(data / FOLDER)
        self._path = self._folder / FILE

    def read(self) -> dict[str, CanaryRecord]:
        """Reads the records, by service."""
        try:
            return decoded(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unusable(self._folder, error) from None
        except ValueError as error:
            raise ConfigurationError(
                f"{self._path} cannot be read ({error}): move it away, restart the fleet, and begin canaries anew"
            ) from None

    def write(self, records: Iterable[CanaryRecord]) -> None:
        """Replaces the records; they are on the disk afterwards."""
        try:
            private_files.replace(self._path, encoded(records), aside=self._folder / _ASIDE)
        except OSError as error:
            raise unusable(self._folder, error) from None


def encoded(records: Iterable[CanaryRecord]) -> bytes:
    """Makes the content of the file."""
    canaries = [
        {
            "canary": MessageToDict(canary_message(record)),
            "evidence": {rule: asdict(evidence) for rule, evidence in record.evidence.items()},
        }
        for record in records
    ]
    return json.dumps({"format": FORMAT, "canaries": canaries}, indent=1).encode()


def decoded(content: bytes) -> dict[str, CanaryRecord]:
    """Reads the content of the file. Raises ValueError for content that is damaged or of a newer format."""
    try:
        found = json.loads(content)
        if found["format"] != FORMAT:
            raise ValueError(f"a format that this program does not know: {found['format']}")
        records = [_record(one) for one in found["canaries"]]
    except (KeyError, TypeError, AttributeError, ParseError, ConfigurationError) as error:
        raise ValueError(str(error)) from None
    return {record.plan.release.service: record for record in records}


def _record(found: Mapping[str, Any]) -> CanaryRecord:
    record = record_of(ParseDict(found["canary"], canary_pb2.Canary()))
    return replace(record, evidence={rule: _evidence(one) for rule, one in found["evidence"].items()})


def _evidence(found: Mapping[str, Any]) -> RuleEvidence:
    parts = {name: tuple(float(one) for one in found[name]) for name in ("limit", "baseline", "alone")}
    if any(len(part) != len(ALTERNATIVES) for part in parts.values()):
        raise ValueError("the evidence is of another version of souk")
    return RuleEvidence(
        **parts,
        alone_limit=found["alone_limit"],
        counts=CallCounts(**found["counts"]),
        quantile=found["quantile"],
    )
