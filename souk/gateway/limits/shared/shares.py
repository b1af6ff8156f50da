"""The shares of a gateway, by policy and key."""

from itertools import islice

from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.memory import MOST_KEYS
from souk.gateway.limits.policy import LimitPolicy
from souk.gateway.limits.shared.share import LocalShare


class Shares:
    """The shares of all keys, at most `most` for each policy: a share that is forgotten costs a question to Redis.

    When a policy has another rate than before, what is refused here by the old one is asked for again.
    """

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._tables: dict[str, dict[str, LocalShare]] = {}
        self._rates: dict[str, Rate] = {}

    def of(self, policy: LimitPolicy, key: str, now: int) -> LocalShare:
        """Returns the share of a key, a new one if there is none."""
        table = self._tables.get(policy.name)
        if table is None:
            table = self._tables[policy.name] = {}
        if self._rates.get(policy.name) is not policy.rate:
            self._rates[policy.name] = policy.rate
            for known in table.values():
                known.ask_again()
        share = table.get(key)
        if share is None:
            if len(table) >= self._most:
                table = self._tables[policy.name] = self._shrunk(table, now)
            share = table[key] = LocalShare()
        return share

    def _shrunk(self, table: dict[str, LocalShare], now: int) -> dict[str, LocalShare]:
        kept = {key: share for key, share in table.items() if not share.idle(now)}
        oldest = max(0, len(kept) - self._most * 9 // 10)
        for key in list(islice((key for key, share in kept.items() if share.flight is None), oldest)):
            del kept[key]
        return kept
