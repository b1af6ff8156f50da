"""HTTP/1.1: a reader of messages, and a client."""
