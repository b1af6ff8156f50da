"""Limits that several gateways share in Redis, with a local share so that not every request pays a round trip.

- `script.py`: the one script, which counts all limits of a request in one atomic step, by Redis' clock.
- `share.py`: what a gateway holds of one key: requests that it has taken ahead, and until when it need not ask. Pure.
- `shares.py`: the shares of all keys, as many as fit.
- `questions.py`: asks Redis, and notices when it is unavailable.
- `quotas.py`: the store: asks Redis for what the shares lack, and does as each policy says when Redis is unavailable.
- `share_counts.py`: its metrics.
"""
