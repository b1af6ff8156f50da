"""Messages as JSON, and back, as protobuf says it."""
