"""The browsers that show messages to a user. Those of other users count as not existing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from marketplace.user.deps import Deps
from marketplace.user.domain.account import is_id, unknown_user
from marketplace.user.domain.push_subscription import (
    MOST_SUBSCRIPTIONS,
    PushSubscription,
    checked,
    unknown_subscription,
)
from marketplace.user.store.cursor import Cursor
from souk.sdk import PageAsked, new_id


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Have messages to a user shown by a browser; keys are in base64url."""

    user_id: str
    endpoint: str = field(repr=False)
    public_key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndSubscription:
    """End messages to one of a user's browsers."""

    user_id: str
    subscription_id: str


@dataclass(frozen=True, slots=True)
class ForgetSubscription:
    """Forget a user's browser, which is gone."""

    user_id: str
    endpoint: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListSubscriptions:
    """Read a page of a user's browsers."""

    user_id: str
    page: PageAsked


async def subscribe(deps: Deps, command: Subscribe) -> PushSubscription:
    """Adds the browser and returns it; raises InvalidArgument and USER_NOT_FOUND."""
    new = checked(
        PushSubscription(
            id=new_id("PUSH", deps.clock),
            user_id=command.user_id,
            endpoint=command.endpoint,
            public_key=command.public_key.rstrip("="),
            secret=command.secret.rstrip("="),
            created_at=deps.clock.now(),
        )
    )
    added = await deps.database.run(lambda tx: deps.push_subscriptions.add(tx, new))
    if added is None:
        raise unknown_user()
    return added


async def end_subscription(deps: Deps, command: EndSubscription) -> None:
    """Deletes one of the user's browsers; raises PUSH_SUBSCRIPTION_NOT_FOUND."""
    user_id, one = command.user_id, command.subscription_id
    if not is_id(one) or not await deps.database.run(lambda tx: deps.push_subscriptions.remove(tx, user_id, one)):
        raise unknown_subscription()


async def forget_subscription(deps: Deps, command: ForgetSubscription) -> None:
    """Deletes the browser at an endpoint, if the user has it."""
    await deps.database.run(lambda tx: deps.push_subscriptions.forget(tx, command.user_id, command.endpoint))


async def list_subscriptions(deps: Deps, query: ListSubscriptions) -> tuple[Sequence[PushSubscription], str | None]:
    """Returns a page of browsers, the oldest first, and the token of the next page."""
    after, limit = Cursor.of(query.page), query.page.size + 1
    found = await deps.database.read(lambda tx: deps.push_subscriptions.list(tx, query.user_id, after, limit))
    return query.page.cut(found, lambda one: (one.created_at, one.id))


async def browsers_of(deps: Deps, user_id: str) -> Sequence[PushSubscription]:
    """Returns all browsers of a user."""
    return await deps.database.read(lambda tx: deps.push_subscriptions.list(tx, user_id, None, MOST_SUBSCRIPTIONS))
