"""A cache in memory, bounded by octets, that drops values read once before values read again.

    new --> probation ---- read again ----> protected
             |   ^                          |
             v   '------- too much ---------'
          dropped

A segmented LRU (Karedla, Love, Wherry 1994): many keys that are each read once push out only other keys of
that kind.
"""

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

OVERHEAD = 512
"""The octets that each entry counts in addition to its size."""
_PROTECTED = 0.8
_LARGEST = 16
"""One entry may take at most a sixteenth of all octets."""


class BoundedMemory(Generic[V]):
    """Values by key, whose given sizes are together at most `octets`.

    Only a digest of a key is kept, so that long keys take no more than short ones.
    """

    def __init__(self, octets: int) -> None:
        self._most = octets
        self._probation: OrderedDict[bytes, tuple[V, int]] = OrderedDict()
        self._protected: OrderedDict[bytes, tuple[V, int]] = OrderedDict()
        self._octets = {id(self._probation): 0, id(self._protected): 0}

    @property
    def octets(self) -> int:
        """The octets that all entries count together."""
        return sum(self._octets.values())

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    def __contains__(self, key: bytes) -> bool:
        digest = _digest(key)
        return digest in self._probation or digest in self._protected

    def get(self, key: bytes) -> V | None:
        """Returns the value, or None; the entry counts as read again from now on, and moves to the protected ones."""
        digest = _digest(key)
        if digest in self._protected:
            self._protected.move_to_end(digest)
            return self._protected[digest][0]
        if digest not in self._probation:
            return None
        value, size = self._take(self._probation, digest)
        self._put(self._protected, digest, value, size)
        while self._octets[id(self._protected)] > self._most * _PROTECTED:
            older = next(iter(self._protected))
            self._put(self._probation, older, *self._take(self._protected, older))
        self._shrink()
        return value

    def set(self, key: bytes, value: V, size: int) -> None:
        """Stores a value of `size` octets in place of the key's old value; a value that is too large is not stored."""
        digest, size = _digest(key), size + OVERHEAD
        segment = self._protected if digest in self._protected else self._probation
        if digest in segment:
            self._take(segment, digest)
        if size <= self._most // _LARGEST:
            self._put(segment, digest, value, size)
            self._shrink()

    def _shrink(self) -> None:
        while self.octets > self._most:
            segment = self._probation or self._protected
            self._take(segment, next(iter(segment)))

    def _put(self, segment: "OrderedDict[bytes, tuple[V, int]]", digest: bytes, value: V, size: int) -> None:
        segment[digest] = value, size
        self._octets[id(segment)] += size

    def _take(self, segment: "OrderedDict[bytes, tuple[V, int]]", digest: bytes) -> tuple[V, int]:
        value, size = segment.pop(digest)
        self._octets[id(segment)] -= size
        return value, size


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=16).digest()
