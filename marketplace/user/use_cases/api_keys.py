"""The API keys of a user. Those of other users count as not existing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketplace.user.deps import Deps
from marketplace.user.domain.api_key import (
    ApiKey,
    granted,
    is_api_key_id,
    new_api_key,
    too_many_api_keys,
    unknown_api_key,
)
from marketplace.user.store.cursor import Cursor
from marketplace.user.use_cases.check_password import check_current_password
from marketplace.user.use_cases.issue_token import issue_client_token
from souk.sdk import PageAsked, Transaction


@dataclass(frozen=True, slots=True)
class CreateApiKey:
    """Make a key by which a program calls in a user's name; `password` proves that the owner wants it."""

    user_id: str
    name: str
    scopes: tuple[str, ...]
    days: int | None
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RevokeApiKey:
    """End one of a user's keys."""

    user_id: str
    key_id: str


@dataclass(frozen=True, slots=True)
class ListApiKeys:
    """Read a page of a user's keys."""

    user_id: str
    page: PageAsked


@dataclass(frozen=True, slots=True)
class AuthenticateApiKey:
    """Find whose a key is that somebody showed."""

    key_id: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateClientToken:
    """Get an access token for a key; without scopes it has all of the key."""

    key_id: str
    digest: bytes = field(repr=False)
    scopes: tuple[str, ...] = ()


async def create_api_key(deps: Deps, command: CreateApiKey) -> tuple[ApiKey, str]:
    """Makes a key, and returns it with the text that is shown once.

    Raises USER_NOT_FOUND, BAD_CREDENTIALS, TOO_MANY_ATTEMPTS and TOO_MANY_API_KEYS; and Unauthenticated unless the
    login is still open: whoever stole an access token cannot make something of it that lasts.
    """
    proof = await check_current_password(deps, command.user_id, command.password)
    made, text = new_api_key(command.user_id, command.name, command.scopes, command.days, deps.clock.now())

    async def work(tx: Transaction) -> bool:
        await deps.accounts.require(tx, proof)
        return await deps.api_keys.add(tx, made)

    if not await deps.database.run(work):
        raise too_many_api_keys()
    return made, text


async def revoke_api_key(deps: Deps, command: RevokeApiKey) -> None:
    """Ends one of the user's keys; raises API_KEY_NOT_FOUND."""
    user_id, one = command.user_id, command.key_id
    if not is_api_key_id(one) or not await deps.database.run(lambda tx: deps.api_keys.remove(tx, user_id, one)):
        raise unknown_api_key()


async def list_api_keys(deps: Deps, query: ListApiKeys) -> tuple[Sequence[ApiKey], str | None]:
    """Returns a page of keys, the oldest first, and the token of the next page."""
    after, limit = Cursor.of(query.page), query.page.size + 1
    found = await deps.database.read(lambda tx: deps.api_keys.list(tx, query.user_id, after, limit))
    return query.page.cut(found, lambda one: (one.created_at, one.id))


async def authenticate_api_key(deps: Deps, command: AuthenticateApiKey) -> ApiKey:
    """Returns the key if it is good, and records its use about once a minute; raises API_KEY_NOT_FOUND."""
    if not is_api_key_id(command.key_id):
        raise unknown_api_key()
    found = await deps.database.read(lambda tx: deps.api_keys.find(tx, command.key_id), single=True)
    if found is None or not found.is_good(command.digest, deps.clock.now()):
        raise unknown_api_key()
    if deps.api_keys.needs_touch(found):
        await deps.database.run(lambda tx: deps.api_keys.touch(tx, found.id))
    return found


async def create_client_token(deps: Deps, command: CreateClientToken) -> tuple[str, tuple[str, ...]]:
    """Returns an access token for a key that is good, and its scopes; raises API_KEY_NOT_FOUND, SCOPE_NOT_GRANTED."""
    key = await authenticate_api_key(deps, AuthenticateApiKey(command.key_id, command.digest))
    scopes = granted(key, command.scopes)
    return await issue_client_token(deps, key, scopes), scopes
