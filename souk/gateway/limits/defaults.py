"""The policies that hold unless a file changes them; docs/limits.md gives the reasons."""

from souk.descriptors.contract import RateClass
from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.policy import CountedBy, LimitPolicy

_GUESSED = frozenset({RateClass.SENSITIVE, RateClass.REGISTRATION})

DEFAULTS = (
    LimitPolicy("reads", Rate(1_200, 60, burst=300), CountedBy.CALLER, frozenset({RateClass.READ})),
    LimitPolicy("writes", Rate(120, 60, burst=60), CountedBy.CALLER, frozenset({RateClass.WRITE})),
    LimitPolicy("sensitive", Rate(60, 60, burst=30), CountedBy.ADDRESS, _GUESSED),
    LimitPolicy("account", Rate(20, 300), CountedBy.ACCOUNT_AND_ADDRESS, frozenset({RateClass.SENSITIVE})),
    LimitPolicy("registrations", Rate(20, 3_600), CountedBy.ADDRESS, frozenset({RateClass.REGISTRATION})),
)
