"""Buyers, administrators and accidents in any order: at rest, no money and no stock is out of its place."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from shop.order.v1 import order_pb2 as pb
from shop.payment.v1.payment_pb2 import PaymentRefunded
from soukapi.v1.event_pb2 import Event

from marketplace.order.domain.order import Status
from marketplace.order.ports import Address, Charge, Price, StandingCharge
from marketplace.order.use_cases.find_lost_charges import FindLostCharges, find_lost_charges
from souk.kernel.errors import DomainError
from souk.rpc.call import not_sent
from souk.saga.settings import SagaSettings

Shop = Any
KEYS = [f"key-{n}" for n in range(6)]
QUICK = SagaSettings(lease=0.4, claim=0.05, pause=0.01, longest_pause=0.02)
BOUGHT = (Status.CONFIRMED, Status.SHIPPED, Status.DELIVERED)


@dataclass
class Money:
    """One charge: what it became, and what was given back of it."""

    amount: int
    captured: bool = False
    cancelled: bool = False
    declined: bool = False
    refunded: int = 0

    @property
    def kept(self) -> int:
        return self.amount - self.refunded if self.captured and not self.cancelled else 0


@dataclass
class Weather:
    """Participants that keep every promise of their contracts, behind a network that keeps none."""

    random: Random
    refuse: Callable[[str, DomainError], Exception]
    lost: Callable[[], Exception]
    money: dict[str, Money] = field(default_factory=dict)
    stock: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    late: list[asyncio.Task[None]] = field(default_factory=list)

    async def _through(self, effect: Callable[[], Any]) -> Any:
        """The call arrives or not, now or later, and so does its answer."""
        await asyncio.sleep(self.random.random() * 0.003)
        luck = self.random.random()
        if luck < 0.08:
            raise not_sent("no way")
        if luck < 0.16:
            raise self.lost()
        if luck < 0.24:
            self.late.append(asyncio.create_task(self._later(effect)))
            raise self.lost()
        answer = effect()
        if luck < 0.32:
            raise self.lost()
        await asyncio.sleep(self.random.random() * 0.003)
        return answer

    async def _later(self, effect: Callable[[], Any]) -> None:
        await asyncio.sleep(self.random.random() * 0.05)
        try:
            effect()
        except Exception:
            return

    async def prices(self, product_ids: Sequence[str]) -> dict[str, Price]:
        return dict.fromkeys(product_ids, Price(1200, "EUR"))

    async def address(self, user_id: str, address_id: str) -> Address | None:
        await asyncio.sleep(0)
        return Address(address_id, "Somewhere 1")

    async def resolve(self, user_id: str, payment_method: str) -> bytes | None:
        return b"source"

    async def reserve(self, key: str, *_: object) -> None:
        def effect() -> None:
            if self.stock.get(key) == "released":
                raise self.refuse("inventory", DomainError("RESERVATION_RELEASED", "too late"))
            if key not in self.stock and self.random.random() < 0.1:
                raise self.refuse("inventory", DomainError("OUT_OF_STOCK", "gone"))
            self.stock.setdefault(key, "reserved")

        await self._through(effect)

    async def release(self, key: str) -> None:
        def effect() -> None:
            assert self.stock.get(key) not in ("sold", "returned")
            self.stock[key] = "released"

        await self._through(effect)

    async def commit(self, key: str) -> None:
        def effect() -> None:
            assert self.stock[key] in ("reserved", "sold", "returned")
            if self.stock[key] == "reserved":
                self.stock[key] = "sold"

        await self._through(effect)

    async def take_back(self, key: str) -> None:
        def effect() -> None:
            assert self.stock[key] in ("sold", "returned")
            self.stock[key] = "returned"

        await self._through(effect)

    async def charge(self, charge: Charge) -> str:
        def effect() -> str:
            known = self.money.setdefault(charge.key, Money(charge.amount))
            if known.cancelled:
                raise self.refuse("payment", DomainError("CHARGE_CANCELLED", "too late"))
            if not known.captured and not known.declined:
                luck = self.random.random()
                if luck < 0.1:
                    raise self.refuse("payment", DomainError("PAYMENT_UNAVAILABLE", "bank"))
                known.declined = luck < 0.2
                known.captured = not known.declined
            if known.declined:
                raise self.refuse("payment", DomainError("PAYMENT_DECLINED", "no"))
            return f"PAY-{charge.key}"

        answer: str = await self._through(effect)
        return answer

    async def cancel(self, key: str, order_id: str) -> None:
        def effect() -> None:
            self.money.setdefault(key, Money(0)).cancelled = True

        await self._through(effect)

    async def standing(self, after: str, min_age: int, limit: int) -> Sequence[StandingCharge]:
        def effect() -> list[StandingCharge]:
            kept = sorted(key for key, money in self.money.items() if money.kept and f"PAY-{key}" > after)
            return [StandingCharge(f"PAY-{key}", key, key.partition(":")[0]) for key in kept[:limit]]

        answer: list[StandingCharge] = await self._through(effect)
        return answer

    async def refund(self, key: str, payment_id: str, reason: str) -> None:
        def effect() -> None:
            money = self.money[payment_id.removeprefix("PAY-")]
            self.refunds.setdefault(key, money.amount - money.refunded)
            assert money.captured
            assert not money.cancelled
            money.refunded = money.amount

        await self._through(effect)

    def give_back(self, part: int) -> PaymentRefunded | None:
        """An administrator refunds a part of some payment that has captured, whoever it is for."""
        open_ones = [key for key, money in self.money.items() if money.kept > part]
        if not open_ones:
            return None
        key = self.random.choice(open_ones)
        self.money[key].refunded += part
        total = self.money[key].refunded
        return PaymentRefunded(order_id=key.partition(":")[0], payment_id=f"PAY-{key}", refunded_total=total)


async def one_wish(shop: Shop, random: Random, number: int) -> None:
    orders = (await shop.read.page("U-1", pb.ListOrdersRequest())).orders
    what = random.choice(["place", "place", "place", "cancel", "ship", "deliver", "refund", "leave"])
    if what == "place":
        await shop.place(random.choice(KEYS), seconds=random.choice([0.51, 1.0, 5.0]))
    elif what == "leave":
        request = asyncio.create_task(shop.place(random.choice(KEYS)))
        await asyncio.sleep(random.random() * 0.02)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    elif what == "refund" and (refund := shop.others.give_back(random.randint(1, 500))):
        event = Event(id=f"E-{number}", payload=refund.SerializeToString())
        for _ in range(2):
            await shop.refunded(event)
    elif orders:
        act = {"cancel": shop.cancel, "ship": shop.ship, "deliver": shop.deliver}.get(what)
        if act is not None:
            await act(random.choice(orders).id)


async def wishes(shop: Shop, random: Random, buyer: int) -> None:
    for number in range(12):
        try:
            await one_wish(shop, random, 100 * buyer + number)
        except DomainError:
            continue


async def compare(shop: Shop) -> None:
    """Looks for charges without an order, however young, as fast as it can: none of a good order may be given back."""
    while True:
        await find_lost_charges(shop.deps, FindLostCharges(lambda loss: None))
        await asyncio.sleep(0)


async def at_rest(shop: Shop) -> None:
    async with asyncio.timeout(120):
        while await shop.runner.counts():
            await asyncio.sleep(0.02)
    await asyncio.gather(*shop.others.late)


async def check(shop: Shop) -> None:
    """Every order against what the participants know of it, and its key's answer against both."""
    world: Weather = shop.others
    shown = (await shop.read.page("U-1", pb.ListOrdersRequest(page_size=100))).orders
    assert len(shown) <= len(KEYS)
    for order in shown:
        status = Status(pb.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_"))
        own = {key: money for key, money in world.money.items() if key.startswith(order.id)}
        kept = {f"PAY-{key}": money.kept for key, money in own.items() if money.kept}
        stock = [state for key, state in world.stock.items() if key.startswith(order.id)]
        assert "reserved" not in stock, (status, stock)
        if status in BOUGHT:
            assert kept == {order.payment_id: order.total - order.refunded_total}
            assert stock.count("sold") == 1
        else:
            assert status in (Status.REJECTED, Status.CANCELLED)
            assert kept == {}
            assert "sold" not in stock
            assert order.refunded_total == (order.total if status is Status.CANCELLED else 0)


@pytest.mark.parametrize("seed", range(4))
async def test_at_rest_everything_is_in_its_place(
    open_shop: Any, tmp_path: Any, url: str | None, refuse: Any, lost_answer: Any, seed: int
) -> None:
    random = Random(seed)
    world = Weather(random, refuse, lost_answer)
    async with open_shop(tmp_path, world, url=url) as shop, asyncio.TaskGroup() as tasks:
        comparing = tasks.create_task(compare(shop))
        await asyncio.gather(*(wishes(shop, random, buyer) for buyer in range(6)))
        await at_rest(shop)
        await check(shop)
        first = {key: await answer(shop, key) for key in KEYS}
        await at_rest(shop)
        await check(shop)
        final = {key: reply for key, reply in first.items() if reply is not None}
        assert {key: await answer(shop, key) for key in final} == final, "one outcome a key"
        comparing.cancel()


@pytest.mark.parametrize("seed", range(3))
async def test_a_replica_that_leaves_in_the_storm_is_no_loss(
    open_shop: Any, tmp_path: Any, postgres_url: str, refuse: Any, lost_answer: Any, seed: int
) -> None:
    random = Random(seed)
    world = Weather(random, refuse, lost_answer)
    async with (
        open_shop(tmp_path, world, url=postgres_url, owner="one", settings=QUICK) as one,
        open_shop(tmp_path, world, url=postgres_url, owner="two", settings=QUICK) as two,
    ):
        taking_over = asyncio.create_task(two.runner.run())
        storm = asyncio.gather(*(wishes(random.choice([one, two]), random, buyer) for buyer in range(6)))
        await asyncio.sleep(random.random() * 0.2)
        await one.runner.close()
        await storm
        await at_rest(two)
        await check(two)
        taking_over.cancel()
        await asyncio.gather(taking_over, return_exceptions=True)


async def answer(shop: Shop, key: str) -> object:
    """The final answer of a key; None while it has none."""
    try:
        given = await shop.place(key)
    except DomainError:
        return None
    if isinstance(given.reply, DomainError):
        return given.reply.reason if not given.reply.reason.endswith("UNAVAILABLE") else None
    return given.reply.SerializeToString() if given.reply.status != pb.ORDER_STATUS_PENDING else None
