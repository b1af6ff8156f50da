"""What a reader wants of mails: their language, and none about the way of orders."""

from typing import Any

import pytest
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.unsubscribing import UnsubscribeTokens
from marketplace.user.servicer import UserServicer
from souk.kernel.errors import DomainError, InvalidArgument
from tests.marketplace.user.conftest import CONTEXT
from tests.marketplace.user.test_accounts import registration


async def contact(user: UserServicer, user_id: str) -> pb.Contact:
    return await user.GetContact(pb.GetContactRequest(user_id=user_id), CONTEXT)


async def test_an_account_has_a_locale(user: UserServicer, acting: Any, mina: pb.User) -> None:
    assert (mina.locale, mina.unsubscribed) == ("en", False)
    created = await user.CreateUser(registration(email="omar@example.com", locale="ar-EG"), CONTEXT)
    assert created.locale == "ar-EG"
    with acting(created.id):
        assert (await user.UpdateMe(pb.UpdateMeRequest(name="Omar"), CONTEXT)).locale == "ar-EG"
        assert (await user.UpdateMe(pb.UpdateMeRequest(locale="fr"), CONTEXT)).locale == "fr"
    assert (await contact(user, created.id)).locale == "fr"


@pytest.mark.parametrize("locale", ["", "f", "french", "fr_FR", "fr-", "../en", "fr-FR-x-y-z-z", "ف"])
async def test_what_is_no_language_tag_is_refused(user: UserServicer, acting: Any, mina: pb.User, locale: str) -> None:
    with acting(mina.id), pytest.raises(InvalidArgument) as refused:
        await user.UpdateMe(pb.UpdateMeRequest(locale=locale), CONTEXT)
    assert [violation.field for violation in refused.value.violations] == ["locale"]


async def test_a_reader_can_unsubscribe_and_subscribe_again(user: UserServicer, acting: Any, mina: pb.User) -> None:
    with acting(mina.id):
        assert (await user.UpdateMe(pb.UpdateMeRequest(unsubscribed=True), CONTEXT)).unsubscribed
        assert (await user.UpdateMe(pb.UpdateMeRequest(name="M"), CONTEXT)).unsubscribed
        assert (await contact(user, mina.id)).unsubscribed
        assert not (await user.UpdateMe(pb.UpdateMeRequest(unsubscribed=False), CONTEXT)).unsubscribed


async def test_an_account_may_have_a_number_for_text_messages(user: UserServicer, acting: Any, mina: pb.User) -> None:
    assert not mina.HasField("phone")
    assert (await contact(user, mina.id)).phone == ""
    with acting(mina.id):
        assert (await user.UpdateMe(pb.UpdateMeRequest(phone="+4915112345678"), CONTEXT)).phone == "+4915112345678"
        assert (await user.UpdateMe(pb.UpdateMeRequest(name="M"), CONTEXT)).phone == "+4915112345678"
        assert (await contact(user, mina.id)).phone == "+4915112345678"
        assert not (await user.UpdateMe(pb.UpdateMeRequest(phone=""), CONTEXT)).HasField("phone")
        for wrong in ("4915112345678", "+0123456789", "+49 151 1234567", "+12", "+1234567890123456", "+1234567\n"):
            with pytest.raises(InvalidArgument):
                await user.UpdateMe(pb.UpdateMeRequest(phone=wrong), CONTEXT)


async def test_the_link_in_a_mail_unsubscribes(user: UserServicer, mina: pb.User) -> None:
    token = (await contact(user, mina.id)).unsubscribe_token
    for _ in range(2):
        await user.Unsubscribe(pb.UnsubscribeRequest(token=token), CONTEXT)
        found = await contact(user, mina.id)
        assert (found.unsubscribed, found.name, found.unsubscribe_token) == (True, "Mina", token)


async def test_only_the_token_of_a_mail_does(user: UserServicer, mina: pb.User) -> None:
    token = (await contact(user, mina.id)).unsubscribe_token
    other = UnsubscribeTokens(b"another secret").token(mina.id)
    for wrong in (token[:-1], f"x{token}", other, mina.id, f"{mina.id}.", ".", "x.y.z", token.swapcase()):
        with pytest.raises(DomainError, match="BAD_UNSUBSCRIBE_TOKEN"):
            await user.Unsubscribe(pb.UnsubscribeRequest(token=wrong), CONTEXT)
    assert not (await contact(user, mina.id)).unsubscribed


async def test_the_link_of_an_erased_account_does_nothing(user: UserServicer, mina: pb.User, acting: Any) -> None:
    token = (await contact(user, mina.id)).unsubscribe_token
    login = pb.CreateTokenRequest(email=mina.email, password="correct horse")
    with acting(mina.id, await user.CreateToken(login, CONTEXT)):
        await user.DeleteMe(pb.DeleteMeRequest(current_password="correct horse"), CONTEXT)
    await user.Unsubscribe(pb.UnsubscribeRequest(token=token), CONTEXT)
