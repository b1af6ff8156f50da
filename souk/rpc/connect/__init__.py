"""Calls over the Connect protocol: unary, binary protobuf over HTTP/1.1 (connectrpc.com/docs/protocol)."""
