"""The adapters of the broker port, one for each kind of broker; `by_url.py` chooses the one that a URL names."""
