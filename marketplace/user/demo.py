"""Loads the demo users. Their passwords are public: a system with demo data listens on loopback only."""

from marketplace.user.deps import Deps
from marketplace.user.domain.account import ADMIN, CUSTOMER, Account
from marketplace.user.domain.address import Address, PostalAddress
from marketplace.user.use_cases.register_user import RegisterUser, register_user
from souk.sdk import DomainError

USERS = (
    RegisterUser("demo@souk.test", "demo-password", "Mina Demo", (CUSTOMER,), "U-demo"),
    RegisterUser("admin@souk.test", "admin-password", "Ada Admin", (ADMIN, CUSTOMER), "U-admin"),
)
ADDRESS_ID = "ADDR-55"
HOME = PostalAddress(
    name="Mina Demo",
    line1="Lindenallee 12",
    city="Hamburg",
    postal_code="20095",
    country="DE",
    phone="+49 40 5550123",
)


async def load_demo(deps: Deps) -> None:
    """Adds the demo users and their address where they are missing; changes nothing that exists."""
    for user in USERS:
        if user.id is not None and await _find(deps, user.id) is None:
            await _register(deps, user)
    owner = str(USERS[0].id)
    if await deps.database.read(lambda tx: deps.addresses.find(tx, owner, ADDRESS_ID), single=True) is None:
        home = Address(ADDRESS_ID, owner, HOME, deps.clock.now())
        await deps.database.run(lambda tx: deps.addresses.add(tx, home))


async def _find(deps: Deps, user_id: str) -> Account | None:
    return await deps.database.read(lambda tx: deps.accounts.find(tx, user_id), single=True)


async def _register(deps: Deps, user: RegisterUser) -> None:
    try:
        await register_user(deps, user)
    except DomainError:
        # Another account has the email, or another process was quicker: both are fine.
        return
