"""Loads the demo users. Their passwords are public: a system with demo data binds loopback only."""

from marketplace.user.address import Address, Place

from marketplace.user.domain import ADMIN, CUSTOMER
from marketplace.user.ports import Accounts, Addresses
from marketplace.user.use_cases.check_password import PasswordCheck
from marketplace.user.use_cases.register_user import RegisterUser, register_user
from souk.kernel.clock import Clock
from souk.kernel.errors import DomainError

USERS = (
    RegisterUser("demo@souk.test", "demo-password", "Mina Demo", (CUSTOMER,), "U-demo"),
    RegisterUser("admin@souk.test", "admin-password", "Ada Admin", (ADMIN, CUSTOMER), "U-admin"),
)
ADDRESS_ID = "ADDR-55"
HOME = Place(
    name="Mina Demo",
    line1="Lindenallee 12",
    city="Hamburg",
    postal_code="20095",
    country="DE",
    phone="+49 40 5550123",
)


async def load_demo(accounts: Accounts, addresses: Addresses, check: PasswordCheck, clock: Clock) -> None:
    """Adds the demo users and their address where they are not there; changes nothing else."""
    for user in USERS:
        if user.id is not None and await accounts.find(user.id) is None:
            await _register(user, accounts, check, clock)
    owner = str(USERS[0].id)
    if await addresses.find(owner, ADDRESS_ID) is None:
        await addresses.add(Address(ADDRESS_ID, owner, HOME, clock.now()))


async def _register(user: RegisterUser, accounts: Accounts, check: PasswordCheck, clock: Clock) -> None:
    try:
        await register_user(user, accounts, check, clock)
    except DomainError:
        # Somebody else has the email, or another process was quicker: both are fine.
        return
