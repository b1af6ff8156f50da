"""What everybody may read: entity tags, compression, and a cache of answers (docs/edges.md).

    request -> tagged.py: 304, compression -> cached_pipeline.py: credentials? rate limit -> read_cache.py -> the call

`handlers.py` puts these together for a route; without the setting there is no cache on the way.
"""
