"""The dependencies of User's use cases, put together once by the composition root."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketplace.user.adapters.es256_signer import Es256Signer
from marketplace.user.domain.signing import Schedule, SigningKey
from marketplace.user.domain.throttle import Counted
from marketplace.user.domain.unsubscribing import UnsubscribeTokens
from marketplace.user.ports import Obligations, Passwords
from marketplace.user.settings import TokenSettings
from marketplace.user.store.accounts import AccountStore
from marketplace.user.store.addresses import AddressStore
from marketplace.user.store.api_keys import ApiKeyStore
from marketplace.user.store.attempts import AttemptStore
from marketplace.user.store.keys import KeyStore
from marketplace.user.store.push_subscriptions import PushSubscriptionStore
from marketplace.user.store.sessions import SessionStore
from souk.sdk import Clock, Database


@dataclass(slots=True)
class KnownKeys:
    """The signing keys as this process last read them; `read_at` is when, in monotonic seconds."""

    keys: Sequence[SigningKey] = ()
    read_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Deps:
    """The database, the stores, the ports, the settings of tokens and keys, and the clock.

    `counted` makes attempts out of what clients enter and the addresses that they call from.
    """

    database: Database
    accounts: AccountStore
    addresses: AddressStore
    push_subscriptions: PushSubscriptionStore
    api_keys: ApiKeyStore
    sessions: SessionStore
    attempts: AttemptStore
    keys: KeyStore
    passwords: Passwords
    obligations: Obligations
    signer: Es256Signer
    counted: Counted
    unsubscribe_tokens: UnsubscribeTokens
    tokens: TokenSettings
    schedule: Schedule
    clock: Clock
    known_keys: KnownKeys = field(default_factory=KnownKeys)
