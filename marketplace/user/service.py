"""The User service: its composition root."""

from functools import partial
from importlib.resources import files

from shop.user.v1 import user_pb2 as pb

from marketplace.user.adapters.argon2_passwords import Argon2Passwords
from marketplace.user.adapters.es256_signer import Es256Signer
from marketplace.user.adapters.service_obligations import ServiceObligations
from marketplace.user.background import tasks
from marketplace.user.demo import load_demo
from marketplace.user.deps import Deps
from marketplace.user.domain.throttle import Counted
from marketplace.user.domain.unsubscribing import UnsubscribeTokens
from marketplace.user.ports import Obligations, Passwords
from marketplace.user.servicer import UserServicer
from marketplace.user.settings import SETTINGS, read_settings
from marketplace.user.store.accounts import AccountStore
from marketplace.user.store.addresses import AddressStore
from marketplace.user.store.api_keys import ApiKeyStore
from marketplace.user.store.attempts import AttemptStore
from marketplace.user.store.keys import KeyStore
from marketplace.user.store.push_subscriptions import PushSubscriptionStore
from marketplace.user.store.sealed_keys import SealedKeys
from marketplace.user.store.sessions import SessionStore
from souk.sdk import Service, ServiceContext, ServiceParts

__all__ = ["build", "deps_of", "service"]


def deps_of(
    context: ServiceContext, passwords: Passwords | None = None, obligations: Obligations | None = None
) -> Deps:
    """Makes the dependencies of the use cases for one process."""
    settings = read_settings(context.settings)
    return Deps(
        database=context.database,
        accounts=AccountStore(context.outbox),
        addresses=AddressStore(),
        push_subscriptions=PushSubscriptionStore(),
        api_keys=ApiKeyStore(context.clock),
        sessions=SessionStore(context.clock),
        attempts=AttemptStore(context.clock),
        keys=KeyStore(SealedKeys(context.secret)),
        passwords=passwords or Argon2Passwords(),
        obligations=obligations or ServiceObligations(context.channel),
        signer=Es256Signer(),
        counted=Counted(context.secret),
        unsubscribe_tokens=UnsubscribeTokens(context.secret),
        tokens=settings.tokens,
        schedule=settings.keys,
        clock=context.clock,
    )


async def build(
    context: ServiceContext, passwords: Passwords | None = None, obligations: Obligations | None = None
) -> ServiceParts:
    """Puts the service together. Tests pass cheaper password hashing and fakes of other services."""
    deps = deps_of(context, passwords, obligations)
    if not await deps.database.read(deps.keys.are_sealed):
        await deps.database.run(deps.keys.seal_all, guarded=True)
    return ServiceParts(servicer=UserServicer(deps), tasks=tasks(deps), demo=partial(load_demo, deps))


service = Service(
    name="user",
    contract=pb.DESCRIPTOR.services_by_name["UserService"],
    build=build,
    migrations=files("marketplace.user") / "migrations",
    settings=SETTINGS,
    calls=("order", "payment"),
)
