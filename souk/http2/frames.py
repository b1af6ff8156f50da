"""h2's connection and its buffer, where they let a peer do harm, or lose what was asked for.

- h2 waits for all of a frame before it looks at its length, so a peer could make it keep 16 MiB.
- h2 neither reads nor writes after a GOAWAY; but it only says that no more streams are begun (RFC 9113, 6.8).
- h2 keeps as many fields of the heads that it sends as the peer allows, up to 4 GiB (RFC 7541, 4.2).
"""

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.frame_buffer import FrameBuffer
from hyperframe.frame import Frame, GoAwayFrame

MOST_TABLE = 4096
"""Octets of the table of HPACK for the heads that this side sends: what a peer allows that says nothing of it."""
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
    """A connection whose streams go on to their end although the peer has said goodbye, and whose table of fields that
    were sent stays small."""

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.incoming_buffer = FrugalFrameBuffer(server=not config.client_side)

    def _acknowledge_settings(self) -> list[Frame]:
        frames = super()._acknowledge_settings()
        if self.encoder.header_table_size > MOST_TABLE:
            self.encoder.header_table_size = MOST_TABLE
        return frames

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]
