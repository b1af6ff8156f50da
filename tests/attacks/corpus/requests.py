"""All rows of HTTP/1.1 that a client sends."""

from collections.abc import Mapping

from tests.attacks.corpus.attack import Attack
from tests.attacks.corpus.chunks import CHUNKS
from tests.attacks.corpus.heads import HEADS
from tests.attacks.corpus.lengths import CODINGS, LENGTHS
from tests.attacks.corpus.targets import ABSOLUTE, FOLLOWERS, HOST_LINES, TARGETS

PARTS: Mapping[str, tuple[Attack, ...]] = {
    "Lengths": LENGTHS,
    "Codings": CODINGS,
    "Chunks": CHUNKS,
    "Heads": HEADS,
    "Request lines": TARGETS,
    "Absolute targets": ABSOLUTE,
    "Hosts": HOST_LINES,
    "What follows a request": FOLLOWERS,
}
REQUESTS: Mapping[str, Attack] = {attack.name: attack for part in PARTS.values() for attack in part}
