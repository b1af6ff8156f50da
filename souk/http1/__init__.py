"""HTTP/1.1: its reader, and a client."""
