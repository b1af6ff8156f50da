"""Registering the first admin, by whoever operates the system."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import ADMIN, CUSTOMER, Account
from marketplace.user.use_cases.register_user import RegisterUser, register_user


@dataclass(frozen=True, slots=True)
class CreateAdmin:
    """Who becomes an admin."""

    email: str
    password: str
    name: str


async def create_admin(deps: Deps, command: CreateAdmin) -> Account:
    """The new account; raises EMAIL_TAKEN. An admin can buy things, too."""
    user = RegisterUser(command.email, command.password, command.name, roles=(ADMIN, CUSTOMER))
    return await register_user(deps, user)
