"""HTTP/2 on the ports of the HTTP server: the same applications, limits and drain, with trailers."""
