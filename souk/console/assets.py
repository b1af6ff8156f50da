"""The console's own files: its stylesheet and its scripts, under names that have a digest of what is in them.

A browser keeps them for good, since another content has another name.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.resources.abc import Traversable

from souk.gateway.http.answers import HttpAnswer
from souk.gateway.http.content_encoding import ENCODERS, chosen

_TYPES = {".css": b"text/css; charset=utf-8", ".js": b"text/javascript; charset=utf-8", ".svg": b"image/svg+xml"}
_FOR_GOOD = (b"cache-control", b"public, max-age=31536000, immutable")
_VARY = (b"vary", b"accept-encoding")


@dataclass(frozen=True)
class _Asset:
    type: bytes
    body: bytes

    @cached_property
    def bodies(self) -> dict[str, bytes]:
        """Its content by encoding, which is made when somebody first wants the file: most gateways are never asked."""
        found = {name: encode(self.body) for name, encode in ENCODERS.items()}
        return {"": self.body} | {name: packed for name, packed in found.items() if len(packed) < len(self.body)}


class Assets:
    """The files of folders, read once, and compressed once. `prefix` is the path that they are served below."""

    def __init__(self, prefix: str, *folders: Traversable) -> None:
        self._urls: dict[str, str] = {}
        self._by_name: dict[str, _Asset] = {}
        for folder in folders:
            for file in folder.iterdir():
                stem, dot, ending = file.name.rpartition(".")
                if file.is_file() and dot + ending in _TYPES:
                    body = file.read_bytes()
                    name = f"{stem}.{blake2b(body, digest_size=8).hexdigest()}.{ending}"
                    self._urls[file.name] = f"{prefix}/{name}"
                    self._by_name[name] = _Asset(_TYPES[dot + ending], body)

    def url(self, name: str) -> str:
        """Returns the path of a file. Raises KeyError if there is none of this name."""
        return self._urls[name]

    def answer(self, name: str, accepted: str) -> HttpAnswer | None:
        """Answers with a file in the encoding that the client likes best; None if there is no such file."""
        asset = self._by_name.get(name)
        if asset is None:
            return None
        encoding = chosen(accepted)
        body = asset.bodies.get(encoding, asset.bodies[""])
        headers = [(b"content-type", asset.type), _FOR_GOOD, _VARY]
        if encoding in asset.bodies and encoding:
            headers.append((b"content-encoding", encoding.encode()))
        return HttpAnswer(200, headers, body)
