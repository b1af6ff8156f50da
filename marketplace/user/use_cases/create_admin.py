"""Registering the first admin, by whoever operates the system."""

from dataclasses import dataclass

from marketplace.user.domain import ADMIN, CUSTOMER, Account
from marketplace.user.ports import Accounts
from marketplace.user.use_cases.check_password import PasswordCheck
from marketplace.user.use_cases.register_user import RegisterUser, register_user
from souk.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class CreateAdmin:
    """Who becomes an admin."""

    email: str
    password: str
    name: str


async def create_admin(command: CreateAdmin, accounts: Accounts, check: PasswordCheck, clock: Clock) -> Account:
    """The new account; raises EMAIL_TAKEN. An admin can buy things, too."""
    user = RegisterUser(command.email, command.password, command.name, roles=(ADMIN, CUSTOMER))
    return await register_user(user, accounts, check, clock)
