import asyncio
import logging

import pytest
from shop.payment.v1 import payment_pb2 as pb
from shop.user.v1.user_pb2 import UserDeleted
from soukapi.v1.event_pb2 import Event

from marketplace.payment.consumers import erase_cards
from marketplace.payment.demo import load_demo
from souk.kernel.errors import DomainError, InvalidArgument


async def _cards(desk, user: str = "U-1") -> list[tuple[str, bool]]:
    answer = await desk.call("ListPaymentMethods", pb.ListPaymentMethodsRequest(), user)
    return [(card.id, card.is_default) for card in answer.payment_methods]


async def _resolve(desk, method: str, user: str = "U-1") -> pb.ChargeSource:
    return await desk.call("ResolveMethod", pb.ResolveMethodRequest(user_id=user, payment_method=method), "")


async def test_a_top_up_is_made_once(desk) -> None:
    assert (await desk.call("GetWallet", pb.GetWalletRequest())) == pb.Wallet()
    assert await asyncio.gather(*(desk.top_up("t", 700) for _ in range(5))) == [700] * 5
    assert desk.record.trailing == {"idempotent-replayed": "true"}
    assert await desk.top_up("t2", 300) == 1_000
    assert await desk.balance("U-2") == 0
    assert await desk.bank.taken("EUR") == 1_000


@pytest.mark.parametrize("change", [{"amount": 701}, {"token": "tok_slow"}, {"currency": "USD"}])
async def test_a_top_up_key_is_refused_for_another(desk, change) -> None:
    await desk.top_up("t", 700)
    with pytest.raises(DomainError, match="IDEMPOTENCY_KEY_REUSED"):
        await desk.top_up("t", **{"amount": 700, **change})


async def test_a_wallet_takes_the_currency_of_its_first_top_up(desk) -> None:
    with pytest.raises(DomainError, match="PAYMENT_DECLINED"):
        await desk.top_up("t1", 700, "tok_declined", "USD")
    await desk.top_up("t2", 700)
    with pytest.raises(DomainError, match="CURRENCY_MISMATCH"):
        await desk.top_up("t3", 700, currency="USD")
    await desk.charge("k", None, 700)
    with pytest.raises(DomainError, match="CURRENCY_MISMATCH"):
        await desk.top_up("t4", 700, currency="USD")


async def test_a_wallet_waits_for_its_currency_while_a_top_up_is_under_way(desk) -> None:
    with pytest.raises(DomainError, match="REQUEST_IN_PROGRESS"):
        await desk.top_up("t1", 700, "tok_slow")
    with pytest.raises(DomainError, match="CURRENCY_MISMATCH"):
        await desk.top_up("t2", 700, currency="USD")
    desk.clock.advance(3)
    assert await desk.top_up("t1", 700, "tok_slow") == 700


async def test_a_top_up_whose_answer_is_lost_is_found(desk) -> None:
    assert await desk.top_up("t", 700, "tok_timeout") == 700


async def test_a_top_up_that_failed_may_be_tried_again(desk) -> None:
    for _ in range(2):
        with pytest.raises(DomainError, match="PAYMENT_UNAVAILABLE"):
            await desk.top_up("t", 700, "tok_error")


async def test_a_wallet_holds_at_most_what_can_be_counted(desk) -> None:
    await desk.top_up("t1", 2**53 - 1)
    with pytest.raises(InvalidArgument):
        await desk.top_up("t2", 1)


@pytest.mark.parametrize(
    "number", ["4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444", "x378282246310005"]
)
async def test_a_card_number_is_refused_and_leaves_no_trace(desk, number, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    for call in (desk.card(number), desk.top_up("t", 1, number)):
        with pytest.raises(InvalidArgument) as refused:
            await call
        assert number not in str(refused.value)
    with pytest.raises(DomainError) as not_found:
        await _resolve(desk, number)
    assert number not in str(not_found.value)
    assert number not in caplog.text
    for table in ("payments", "cards", "wallets"):
        assert await desk.rows(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("token", ["", "tok_other", "pm_visa"])
async def test_a_token_of_nobody_is_refused(desk, token) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await desk.card(token)
    assert refused.value.violations[0].field == "card_token"


async def test_the_first_card_is_the_default_until_another_is(desk) -> None:
    with pytest.raises(DomainError, match="PAYMENT_METHOD_NOT_FOUND"):
        await _resolve(desk, "card")
    first, second = await desk.card("tok_visa"), await desk.card("tok_declined")
    assert await _cards(desk) == [(first, True), (second, False)]
    assert (await _resolve(desk, "card")).card.payment_method_id == first
    request = pb.CreatePaymentMethodRequest(card_token="tok_slow", is_default=True)
    third = (await desk.call("CreatePaymentMethod", request)).id
    assert await _cards(desk) == [(third, True), *sorted([(first, False), (second, False)])]
    assert (await _resolve(desk, second)).card.payment_method_id == second
    assert (await _resolve(desk, "wallet")).WhichOneof("source") == "wallet"


async def test_concurrent_first_cards_leave_one_default(desk) -> None:
    await asyncio.gather(*(desk.card("tok_visa") for _ in range(5)))
    assert [default for _, default in await _cards(desk)] == [True, False, False, False, False]


async def test_forgetting_the_default_promotes_another(desk) -> None:
    first = await desk.card("tok_visa")
    desk.clock.advance(1)
    second = await desk.card("tok_declined")
    for card in (first, second):
        await desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=card))
        assert await _cards(desk) == ([(second, True)] if card == first else [])
        with pytest.raises(DomainError, match="PAYMENT_METHOD_NOT_FOUND"):
            await desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=card))
        with pytest.raises(DomainError, match="PAYMENT_METHOD_NOT_FOUND"):
            await _resolve(desk, card)


async def test_cards_of_others_are_not_found(desk) -> None:
    card = await desk.card("tok_visa")
    for call in (
        desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=card), "U-2"),
        _resolve(desk, card, "U-2"),
        _resolve(desk, "card", "U-2"),
    ):
        with pytest.raises(DomainError, match="PAYMENT_METHOD_NOT_FOUND"):
            await call
    assert await _cards(desk, "U-2") == []


async def test_the_cards_of_a_deleted_user_are_erased_once(desk) -> None:
    await desk.card("tok_visa")
    await desk.card("tok_visa", "U-2")
    event = Event(id="EVT-1", payload=UserDeleted(user_id="U-1").SerializeToString())
    await erase_cards(desk.deps, event)
    assert [row["user_id"] for row in await desk.rows("SELECT user_id FROM cards")] == ["U-2"]
    await erase_cards(desk.deps, event)
    for call in (desk.card("tok_visa"), desk.top_up("again", 500)):
        with pytest.raises(DomainError, match="UNAUTHENTICATED"):
            await call
    assert await desk.rows("SELECT id FROM cards WHERE user_id = $1", "U-1") == []


@pytest.mark.parametrize("write", ["card", "top-up"])
async def test_a_write_beside_the_erasure_comes_before_or_is_refused(desk, write: str) -> None:
    outcomes = []
    for number in range(10):
        user = f"U-{number}"
        event = Event(id=f"EVT-{number}", payload=UserDeleted(user_id=user).SerializeToString())
        wish = desk.card("tok_visa", user) if write == "card" else desk.top_up("k", 500, user=user)
        pair = [wish, erase_cards(desk.deps, event)]
        both = await asyncio.gather(*(pair if number % 2 else reversed(pair)), return_exceptions=True)
        errors = [one for one in both if isinstance(one, Exception)]
        assert all(isinstance(error, DomainError) and error.reason == "UNAUTHENTICATED" for error in errors)
        outcomes.append(bool(errors))
    assert any(outcomes), "one that came after was refused"
    assert await desk.rows("SELECT id FROM cards") == [], "one that came before was erased, too"


async def test_lists_page_through_everything_once(desk) -> None:
    cards = [await desk.card("tok_visa") for _ in range(5)]
    for number in range(5):
        await desk.charge(f"k{number}", cards[0])
        desk.clock.advance(1)
    for method, request, field in (
        ("ListPaymentMethods", pb.ListPaymentMethodsRequest(page_size=2), "payment_methods"),
        ("ListPayments", pb.ListPaymentsRequest(page_size=2), "payments"),
    ):
        seen: list[str] = []
        pages = 0
        while True:
            page = await desk.call(method, request)
            seen += [item.id for item in getattr(page, field)]
            pages += 1
            if not page.HasField("next_page_token"):
                break
            request.page_token = page.next_page_token
        assert (pages, len(seen), len(set(seen))) == (3, 5, 5)
        with pytest.raises(InvalidArgument):
            await desk.call(method, request, "U-2")
    assert seen == sorted(seen, reverse=True)


async def test_payments_of_others_are_not_found(desk) -> None:
    payment = await desk.charge("k", await desk.card("tok_visa"))
    with pytest.raises(DomainError, match="PAYMENT_NOT_FOUND"):
        await desk.payment(payment.payment_id, "U-2")
    assert not (await desk.call("ListPayments", pb.ListPaymentsRequest(), "U-2")).payments


async def test_demo_data_is_loaded_once(desk) -> None:
    for _ in range(2):
        await load_demo(desk.deps)
    assert await desk.balance("U-demo") == 500_000
    assert await _cards(desk, "U-demo") == [("PM-demo", True)]


async def test_a_top_up_leaves_room_for_what_may_come_back(desk) -> None:
    most = 2**53 - 1
    await desk.top_up("first", most)
    spent = (await desk.charge("k", None, 1_000)).payment_id
    with pytest.raises(InvalidArgument, match="given back"):
        await desk.top_up("second", 1)
    await desk.refund(spent, 400, "r")
    with pytest.raises(InvalidArgument, match="given back"):
        await desk.top_up("second", 1)
    await desk.refund_rest(spent, "O-1:1:refund")
    assert await desk.balance() == most


async def test_cards_that_are_saved_at_once_stay_below_the_cap(desk) -> None:
    for _ in range(15):
        await desk.card("tok_visa")
    found = await asyncio.gather(*(desk.card("tok_visa") for _ in range(10)), return_exceptions=True)
    assert [each.reason for each in found if isinstance(each, DomainError)] == ["TOO_MANY_CARDS"] * 5
    await desk.card("tok_visa", "U-2")
    mine = [each for each in found if isinstance(each, str)]
    await desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=mine[0]))
    await desk.card("tok_visa")


async def test_of_forgotten_cards_the_last_are_kept(desk) -> None:
    first = await desk.card("tok_visa")
    for _ in range(101):
        card = await desk.card("tok_visa")
        await desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=card))
    assert len(await desk.rows("SELECT id FROM cards WHERE forgotten")) == 100
    # It was saved first and is forgotten last: an order under way that chose it is still charged to it.
    await desk.call("DeletePaymentMethod", pb.DeletePaymentMethodRequest(id=first))
    assert (await desk.charge("k", first)).status == pb.PAYMENT_STATUS_CAPTURED
    assert len(await desk.rows("SELECT id FROM cards")) == 100
