"""h2's connection and its buffer, where they let a peer do harm, or lose what was asked for.

- h2 waits for all of a frame before it looks at its length, so a peer could make it keep 16 MiB.
- h2 neither reads nor writes after a GOAWAY; but it only says that no more streams are begun (RFC 9113, 6.8).
"""

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.frame_buffer import FrameBuffer
from hyperframe.frame import Frame, GoAwayFrame

_LENGTH = 3
"""The octets of a frame's length, with which it begins."""


class FrugalFrameBuffer(FrameBuffer):
    """Refuses a frame that is too long as soon as its length is known."""

    def __next__(self) -> Frame:
        """Gives the next frame. Raises FrameTooLargeError."""
        if len(self._data) >= _LENGTH:
            self._validate_frame_length(int.from_bytes(self._data[:_LENGTH], "big"))
        return super().__next__()


class LastingH2Connection(h2.connection.H2Connection):
    """A connection whose streams go on to their end although the peer has said goodbye."""

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.incoming_buffer = FrugalFrameBuffer(server=not config.client_side)

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]
