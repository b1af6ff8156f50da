"""What was used lately, bounded by octets: what is asked for once goes before what is asked for again.

    new --> probation --asked for again--> protected
             |   ^                          |
             v   '------- too much ---------'
            gone

A segmented LRU (Karedla, Love, Wherry 1994): a flood of keys that are asked for once pushes out only others of
their kind.
"""

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

OVERHEAD = 512
"""Octets that an entry counts for besides its own."""
_PROTECTED = 0.8
_LARGEST = 16
"""The part of all octets that one entry may have: a sixteenth."""


class BoundedMemory(Generic[V]):
    """Values by key, together at most `octets` by the sizes that they are given with.

    Only a digest of a key is kept, so that long keys take no more than short ones.
    """

    def __init__(self, octets: int) -> None:
        self._most = octets
        self._probation: OrderedDict[bytes, tuple[V, int]] = OrderedDict()
        self._protected: OrderedDict[bytes, tuple[V, int]] = OrderedDict()
        self._octets = {id(self._probation): 0, id(self._protected): 0}

    @property
    def octets(self) -> int:
        """What all entries count for."""
        return sum(self._octets.values())

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    def __contains__(self, key: bytes) -> bool:
        digest = _digest(key)
        return digest in self._probation or digest in self._protected

    def get(self, key: bytes) -> V | None:
        """The value, which is one that is asked for again from now on."""
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
        """Keeps a value of `size` octets, in digest of what had the key; one that is too large is not kept."""
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
