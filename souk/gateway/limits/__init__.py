"""Rate limits: how often a caller, an address or an account may call methods of a class.

    method -> its policies -> a key for each (who?) -> store: may all of them take one? -> headers, or Problem 429

- `gcra.py`: the Generic Cell Rate Algorithm, pure.
- `policy.py`: a policy is a rate, what it counts by, and the classes of methods that it holds for; `defaults.py` has
  those of a shop, `settings_file.py` reads changes to them.
- `store.py`: the port; `memory.py` counts in this process, `shared/` in Redis, together with other gateways.
- `limiter.py`: the limits of one method, as the gateway's pipeline asks for them; `counts.py` are the metrics.
- `headers.py`: the fields `RateLimit` and `RateLimit-Policy`.
"""
