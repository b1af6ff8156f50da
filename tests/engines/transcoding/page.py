"""Writes docs/transcoding.md from a comparison of the whole corpus."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.engines.transcoding.test_corpus import Compared

_LONGEST = 90
ISSUES = {
    "9507": "the whole message sent where the rule's body is one field: `POST /v1/body/string`",
    "13634": "query parameters that look like fields of an HttpBody: `POST /v1/mirror?data=x`",
    "13920": "a colon in the last segment: `GET /v1/files/a:b:c`",
    "13965": "a plus for a blank in the query: `GET /v1/echo?aString=a+b`",
    "21151": "names with brackets in the query: `GET /v1/echo?search%5Bfield%5D=x`",
    "22926": "numbers in the path that lose their type: `GET /v1/int32/7`, `GET /v1/int64/9007199254740991`",
    "22966": "values of enums that do not exist, in the query: `GET /v1/echo?colour=7`",
    "32143": "lists of messages in the query: `GET /v1/echo?list.aString=a&list.anInt32=1`",
    "41323": "a body without content for an HttpBody: `POST /v1/mirror`",
    "46623": 'unknown fields of a body, which Envoy drops silently: `POST /v1/echo {"nope":1}`',
}
"""What others stumbled over, by their numbers in the issues of envoyproxy/envoy, and where it is in the corpus."""


def page_of(reasons: Mapping[str, str], compared: Sequence["Compared"]) -> str:
    """Returns the page."""
    return "\n".join(_lines(reasons, compared)) + "\n"


def _lines(reasons: Mapping[str, str], compared: Sequence["Compared"]) -> Iterator[str]:
    differing = [one for one in compared if one.differences]
    yield "# Transcoding: Souk beside Envoy"
    yield ""
    yield (
        f"{len(compared)} requests were sent to Souk's gateway and to Envoy 1.40 with its filter "
        "grpc_json_transcoder, both with the same contract (`tests/library/library.proto`) in front of the same gRPC "
        "server. Compared are the message that the server received, the status, and the body of a success. "
        "Envoy's filter is set as strictly as "
        "it can be. This page is made by `python -m tests.engines.transcoding.test_corpus` from such a run; "
        "`make test-engines` repeats the run and fails on any difference that the corpus "
        "(`tests/engines/transcoding/cases.yaml`) does not name."
    )
    yield ""
    yield (
        f"They agree on {len(compared) - len(differing)}. On {len(differing)} they differ, each for one of "
        f"{len(reasons)} reasons. In bodies of success three differences hold everywhere and are not counted: "
        "integers of 64 bits are numbers, values of enums have no prefix, and errors are problem documents (RFC 9457)."
    )
    yield from _groups(compared)
    yield from _differences(reasons, differing)
    yield from ("", "## What others stumbled over", "", "| issue of envoyproxy/envoy | in the corpus |", "|---|---|")
    yield from (
        f"| [{number}](https://github.com/envoyproxy/envoy/issues/{number}) | {ISSUES[number]} |" for number in ISSUES
    )


def _groups(compared: Sequence["Compared"]) -> Iterator[str]:
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in compared:
        counts[one.case.title][0] += 1
        counts[one.case.title][1] += not one.differences
    yield from ("", "| requests about | cases | agree |", "|---|---|---|")
    yield from (f"| {title} | {cases} | {agree} |" for title, (cases, agree) in counts.items())


def _differences(reasons: Mapping[str, str], differing: Sequence["Compared"]) -> Iterator[str]:
    yield from ("", "## Deliberate differences")
    for name, reason in reasons.items():
        yield from ("", f"**{name}**: {reason}", "", "| request | Souk | Envoy |", "|---|---|---|")
        for one in differing:
            if one.case.differs == name:
                request = f"{one.case.verb} {one.case.target} {one.case.shown}".strip()
                yield f"| {_code(request)} | {_code(one.souk.shown)} | {_code(one.envoy.shown)} |"


def _code(text: str) -> str:
    text = text.replace("\n", "\\n").replace("|", "\\|").replace("`", "'")
    return f"`{text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}`"
