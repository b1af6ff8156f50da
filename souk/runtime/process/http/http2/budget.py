"""How much one client of HTTP/2 may have under way."""

MOST_STREAMS = 100
"""Requests of one connection at once, those included that the client has given up and that still run here."""
WINDOW = 1024 * 1024
"""Octets of request bodies that a connection may send ahead of the application, all its streams together."""
