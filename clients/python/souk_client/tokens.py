"""When an access token ends, as far as a client can see, so that it is renewed before that."""

import base64
import json
import math

EARLY = 30.0
"""Seconds before its end from which a token is renewed: clocks differ, and a request takes its time."""


def expires(token: str) -> float:
    """Returns when a JWT ends, in seconds since 1970 (RFC 7519, 4.1.4); infinity for one that does not say.

    Nothing is verified: the server does that.
    """
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"]
    except (IndexError, ValueError, KeyError, TypeError):
        return math.inf
    return float(found) if isinstance(found, int | float) else math.inf
