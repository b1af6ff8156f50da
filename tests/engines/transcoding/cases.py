"""The corpus: its cases as they stand in cases.yaml, and raw requests for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "cases.yaml"


@dataclass(frozen=True)
class TranslationCase:
    """One request, and the name of the reason why Souk and Envoy differ on it; empty where they agree."""

    title: str
    verb: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    shown: str
    differs: str

    @property
    def request(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"{self.verb} {self.target} HTTP/1.1", "Host: test", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}")
            if not any(name.lower() == "content-type" for name, _ in self.headers):
                lines.append("Content-Type: application/json")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (self.body or b"")


def corpus() -> tuple[Mapping[str, str], list[TranslationCase]]:
    """Returns the reasons for differences by their names, and the cases."""
    data = yaml.safe_load(FILE.read_text())
    cases = [case for group in data["groups"] for case in _cases(group)]
    return data["reasons"], cases


def _cases(group: Mapping[str, Any]) -> Iterator[TranslationCase]:
    for given in group["cases"]:
        case = {"send": given} if isinstance(given, str) else given
        verb, _, target = case["send"].partition(" ")
        body = bytes.fromhex(case["hex"]) if "hex" in case else case.get("body")
        yield TranslationCase(
            group["title"],
            verb,
            target,
            tuple(case.get("headers", {}).items()),
            _repeated(body) if isinstance(body, str) else body,
            str(case.get("body", case.get("hex", ""))),
            case.get("differs", ""),
        )


def _repeated(body: str) -> bytes:
    """Returns a body; `TEXT * N` in it means a text N times, for deep and long ones."""
    if body.startswith("REPEAT "):
        _, times, before, middle, after = body.split(" ", 4)
        return (before * int(times) + middle + after * int(times)).encode()
    return body.encode()
