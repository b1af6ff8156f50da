"""The fields `RateLimit` and `RateLimit-Policy`, by draft-ietf-httpapi-ratelimit-headers-11 (May 2026).

Both are lists of structured fields (RFC 9651), with an item for each policy: `"reads";r=299;t=1`, and
`"reads";q=1200;w=60`.
"""

import math
from collections.abc import Sequence

from souk.gateway.limits.store import Quota

RATE_LIMIT, RATE_LIMIT_POLICY = b"ratelimit", b"ratelimit-policy"


def limit_item(quota: Quota) -> bytes:
    """Returns the quota's item: what remains, and the time for which that has to do.

    Of a refusal that is the time to wait, as in Retry-After; else the time until all is there again.
    """
    seconds = quota.wait if quota.wait > 0 else quota.reset
    return b"%s;r=%d;t=%d" % (quota.policy.quoted, quota.remaining, math.ceil(seconds))


def limit_headers(quotas: Sequence[Quota]) -> list[tuple[bytes, bytes]]:
    """Returns both fields of an answer; nothing without quotas."""
    if not quotas:
        return []
    return [
        (RATE_LIMIT_POLICY, b", ".join([quota.policy.item for quota in quotas])),
        (RATE_LIMIT, b", ".join([limit_item(quota) for quota in quotas])),
    ]
