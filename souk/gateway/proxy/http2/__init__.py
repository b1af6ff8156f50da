"""Upstreams that speak HTTP/2: many requests share a connection, and answers may have trailers, as gRPC's do."""
