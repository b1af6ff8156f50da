"""WebSocket through the gateway: a tunnel of octets, and where a frame may be put between those of an upstream."""
