"""Registering the first admin, by the operator of the system."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.account import ADMIN, CUSTOMER, Account
from marketplace.user.use_cases.register_user import RegisterUser, register_user


@dataclass(frozen=True, slots=True)
class CreateAdmin:
    """Create an account with the role of an admin."""

    email: str
    password: str
    name: str


async def create_admin(deps: Deps, command: CreateAdmin) -> Account:
    """Creates the account of an admin, who is a customer too, and returns it; raises EMAIL_TAKEN."""
    user = RegisterUser(command.email, command.password, command.name, roles=(ADMIN, CUSTOMER))
    return await register_user(deps, user)
