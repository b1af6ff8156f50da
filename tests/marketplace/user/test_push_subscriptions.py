"""Browsers that show messages: one's own alone, each of one user at a time."""

from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.push_subscription import MOST_SUBSCRIPTIONS
from marketplace.user.servicer import UserServicer
from souk.kernel.errors import DomainError, InvalidArgument
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord

CONTEXT: Any = CallRecord()
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/abc"
KEYS = {"p256dh": "B" + "A" * 86, "auth": "A" * 22}


def browser(endpoint: str = ENDPOINT, **keys: str) -> pb.CreatePushSubscriptionRequest:
    return pb.CreatePushSubscriptionRequest(endpoint=endpoint, keys=pb.PushKeys(**{**KEYS, **keys}))


async def listed(user: UserServicer) -> list[str]:
    page = await user.ListPushSubscriptions(pb.ListPushSubscriptionsRequest(), CONTEXT)
    return [one.id for one in page.push_subscriptions]


async def endpoints(user: UserServicer, acting: Any, user_id: str) -> list[str]:
    with acting():
        request = pb.GetContactRequest(user_id=user_id, with_browsers=True)
        return [one.endpoint for one in (await user.GetContact(request, CONTEXT)).browsers]


async def test_a_browser_is_shown_without_its_address_and_keys(
    user: UserServicer, mina: pb.User, acting: Any, clock: FakeClock
) -> None:
    with acting(mina.id):
        made = await user.CreatePushSubscription(browser(), CONTEXT)
        assert made.service == "updates.push.services.mozilla.com"
        assert made.created_at.ToMicroseconds() == clock.now()
        assert await listed(user) == [made.id]
    with acting():
        contact = await user.GetContact(pb.GetContactRequest(user_id=mina.id, with_browsers=True), CONTEXT)
        assert list(contact.browsers) == [pb.Browser(endpoint=ENDPOINT, keys=pb.PushKeys(**KEYS))]
        assert not (await user.GetContact(pb.GetContactRequest(user_id=mina.id), CONTEXT)).browsers


async def test_done_twice_is_done_once_and_new_keys_count(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        first = await user.CreatePushSubscription(browser(auth="A" * 22 + "=="), CONTEXT)
        again = await user.CreatePushSubscription(browser(auth="B" * 22), CONTEXT)
        assert again == first
        assert await listed(user) == [first.id]
    with acting():
        contact = await user.GetContact(pb.GetContactRequest(user_id=mina.id, with_browsers=True), CONTEXT)
        assert [one.keys.auth for one in contact.browsers] == ["B" * 22]


async def test_a_browser_is_of_one_user_at_a_time(user: UserServicer, mina: pb.User, acting: Any) -> None:
    other = await user.CreateUser(
        pb.CreateUserRequest(email="o@example.com", password="correct horse", name="Omar"), CONTEXT
    )
    for user_id in (mina.id, other.id):
        with acting(user_id):
            await user.CreatePushSubscription(browser(), CONTEXT)
    assert await endpoints(user, acting, mina.id) == []
    assert await endpoints(user, acting, other.id) == [ENDPOINT]


async def test_one_over_the_limit_takes_the_place_of_the_oldest(
    user: UserServicer, mina: pb.User, acting: Any, clock: FakeClock
) -> None:
    with acting(mina.id):
        for number in range(MOST_SUBSCRIPTIONS + 2):
            clock.advance(1.0)
            await user.CreatePushSubscription(browser(f"{ENDPOINT}{number}"), CONTEXT)
    expected = [f"{ENDPOINT}{number}" for number in range(2, MOST_SUBSCRIPTIONS + 2)]
    assert await endpoints(user, acting, mina.id) == expected


async def test_another_users_browser_cannot_be_ended(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        made = await user.CreatePushSubscription(browser(), CONTEXT)
    for caller, one in (("U-other", made.id), (mina.id, "PUSH-none"), (mina.id, "nul \0")):
        with acting(caller), pytest.raises(DomainError, match="PUSH_SUBSCRIPTION_NOT_FOUND"):
            await user.DeletePushSubscription(pb.DeletePushSubscriptionRequest(id=one), CONTEXT)
    with acting(mina.id):
        await user.DeletePushSubscription(pb.DeletePushSubscriptionRequest(id=made.id), CONTEXT)
        assert await listed(user) == []


async def test_a_browser_that_is_gone_is_forgotten(user: UserServicer, mina: pb.User, acting: Any) -> None:
    with acting(mina.id):
        await user.CreatePushSubscription(browser(), CONTEXT)
    with acting():
        for user_id, endpoint in (("U-other", ENDPOINT), (mina.id, f"{ENDPOINT}x")):
            gone = pb.ForgetPushSubscriptionRequest(user_id=user_id, endpoint=endpoint)
            await user.ForgetPushSubscription(gone, CONTEXT)
        assert await endpoints(user, acting, mina.id) == [ENDPOINT]
        for _ in range(2):
            gone = pb.ForgetPushSubscriptionRequest(user_id=mina.id, endpoint=ENDPOINT)
            await user.ForgetPushSubscription(gone, CONTEXT)
    assert await endpoints(user, acting, mina.id) == []


@pytest.mark.parametrize(
    "endpoint",
    ["", "http://push.example/x", "https://", "https://a@push.example/x", "https://[::1", "https://p.example/#x", "x"],
)
async def test_an_address_that_is_none_is_refused(
    user: UserServicer, mina: pb.User, acting: Any, endpoint: str
) -> None:
    with acting(mina.id), pytest.raises(InvalidArgument) as caught:
        await user.CreatePushSubscription(browser(endpoint), CONTEXT)
    assert [violation.field for violation in caught.value.violations] == ["endpoint"]


@pytest.mark.parametrize("keys", [{"p256dh": ""}, {"p256dh": "B" * 86}, {"auth": "é"}, {"auth": "A" * 21}])
async def test_keys_that_are_none_are_refused(
    user: UserServicer, mina: pb.User, acting: Any, keys: dict[str, str]
) -> None:
    with acting(mina.id), pytest.raises(InvalidArgument, match="keys"):
        await user.CreatePushSubscription(browser(**keys), CONTEXT)
    with acting(mina.id), pytest.raises(InvalidArgument, match="keys"):
        await user.CreatePushSubscription(pb.CreatePushSubscriptionRequest(endpoint=ENDPOINT), CONTEXT)
