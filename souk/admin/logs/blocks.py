"""Reads a file backwards, in blocks of whole lines."""

import os
from collections.abc import Iterator

PIECE = 64 * 1024


def blocks(descriptor: int, end: int) -> Iterator[bytes]:
    """Gives what is before the offset `end`, the last block first. A line is never divided between two blocks.

    The position of the descriptor does not change. It blocks for as long as the reads take.
    """
    piece, rest = PIECE, b""
    while end > 0:
        start = max(end - piece, 0)
        block = os.pread(descriptor, end - start, start) + rest
        end = start
        if not start:
            yield block
            return
        rest, newline, whole = block.partition(b"\n")
        if not newline:  # a long line: more is read at once, so that it is not copied again and again
            piece *= 2
            continue
        piece = PIECE
        if whole:
            yield whole
