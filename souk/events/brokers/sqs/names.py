"""What topics, queues and message groups are called, within what SQS and SNS allow.

A name has letters, digits, hyphens and underscores, and at most 80 characters with `.fifo` at its end. Other characters
become `_` with two hexadecimal digits, so that `__`, which is in no part of a name, stands between topic and group.
"""

from hashlib import sha256
from re import fullmatch, sub

_TOPIC, _GROUP = 24, 28
"""The most characters of a part; a prefix has at most 20 more. A longer part ends with a digest."""
_DIGEST = 12


def topic_name(prefix: str, topic: str) -> str:
    """Returns the name of a topic of SNS."""
    return f"{prefix}{_part(topic, _TOPIC)}.fifo"


def queues_begin(prefix: str, topic: str) -> str:
    """Returns how the names of a topic's queues begin, and no others."""
    return f"{prefix}{_part(topic, _TOPIC)}__"


def queue_name(prefix: str, topic: str, group: str) -> str:
    """Returns the name of a group's queue."""
    return f"{queues_begin(prefix, topic)}{_part(group, _GROUP)}.fifo"


def message_group(key: str) -> str:
    """Returns the message group of a key: the key itself if it may be one. No two keys have the same."""
    if fullmatch(r"[A-Za-z0-9_.:-]{1,128}", key) and not key.startswith("sha256:"):
        return key
    return f"sha256:{sha256(key.encode()).hexdigest()}"


def _part(text: str, most: int) -> str:
    found = sub(rb"[^A-Za-z0-9-]", lambda match: b"_%02x" % match[0][0], text.encode()).decode()
    if len(found) <= most:
        return found
    return f"{found[: most - _DIGEST - 1]}-{sha256(text.encode()).hexdigest()[:_DIGEST]}"
