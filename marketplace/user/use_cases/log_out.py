"""Logging out: the family of a refresh token ends."""

from dataclasses import dataclass

from marketplace.user.deps import Deps
from marketplace.user.domain.refresh import parse


@dataclass(frozen=True, slots=True)
class LogOut:
    """End the login of a user that a refresh token belongs to; any token of its family will do."""

    user_id: str
    refresh_token: str


async def log_out(deps: Deps, command: LogOut) -> None:
    """Ends the family if it belongs to the caller; does nothing, and raises nothing, for any other."""
    presented = parse(command.refresh_token)
    if presented is not None:
        await deps.database.run(lambda tx: deps.sessions.revoke(tx, presented.family_id, command.user_id))
