"""Writes messages as JSON and reads them, close to protobuf's own JSON mapping; the reader lists the differences."""
