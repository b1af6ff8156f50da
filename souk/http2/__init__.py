"""HTTP/2: what its servers and its clients here add to h2."""
