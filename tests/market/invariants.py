"""What must be true of a marketplace at rest, whatever happened to it before.

Per order, and so per currency: what was charged and not given back is what the order says, and
nothing for an order that was never confirmed; the books of the sandbox bank say the same. Per
product: all that was received is there, or sold to an order that stands. One outcome a key; one
letter an event; one place in the revenue for each order that was confirmed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from shop.order.v1 import order_pb2

from marketplace.notification.templates import TEMPLATES, draft
from souk.testing.system import until
from tests.market.books import Books, Row
from tests.market.mailbox import Mailbox

REST = 40.0
"""Seconds that all may take to come to rest: a lease, and what is left to do then."""
MONEY = ("CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED")
STANDING = ("CONFIRMED", "SHIPPED", "DELIVERED")


def await_rest(books: Books, limit: float = REST) -> None:
    """Waits until nothing is under way; raises AssertionError, with what still is, after a limit."""
    try:
        until(lambda: not books.unrest(), limit, "the system comes to rest") if limit else None
    except AssertionError as error:
        raise AssertionError(f"{error}: {'; '.join(books.unrest())}") from None
    unrest = books.unrest()
    assert not unrest, unrest


def violations(books: Books, letters: bool = True) -> list[str]:
    """Finds violations of the invariants; the system must be at rest, and its `letters` in its mailbox folder."""
    return [
        *books.parked(),
        *_unfinished(books),
        *_money_of_orders(books),
        *_ledger(books),
        *_bank(books),
        *_stock(books),
        *_keys(books),
        *_told(books),
        *(_letters(books) if letters else ()),
        *_figures(books),
    ]


def status(order: order_pb2.Order) -> str:
    """Gives the status of an order as the API shows it."""
    return order_pb2.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_")


def _unfinished(books: Books) -> Iterator[str]:
    for order in books.orders():
        if status(order) in ("PENDING", "CANCELLING"):
            yield f"{order.id} is left {status(order)}"


def _money_of_orders(books: Books) -> Iterator[str]:
    charged: dict[str, list[Row]] = defaultdict(list)
    for row in books.rows("payment", "SELECT * FROM payments WHERE purpose = 'order'"):
        if row["status"] in MONEY:
            charged[row["order_id"]].append(row)
    orders, histories = {order.id: order for order in books.orders()}, books.histories()
    for order_id in charged.keys() - orders.keys():
        yield f"a charge for {order_id}, of which there is no order"
    for order in orders.values():
        confirmed = "OrderConfirmed" in histories[order.id]
        owed = order.total - order.refunded_total if confirmed else 0
        kept = sum(row["amount"] - row["refunded"] for row in charged[order.id])
        if kept != owed:
            yield f"{order.id} ({status(order)}): {kept} was kept, and {owed} is owed"
        if (
            confirmed
            and order.total
            and [row["id"] for row in charged[order.id] if not row["cancelled"]] != [order.payment_id]
        ):
            yield f"{order.id}: its payments are {charged[order.id]}, not {order.payment_id}"


def _ledger(books: Books) -> Iterator[str]:
    postings = books.rows("payment", "SELECT * FROM postings")
    sums: Counter[tuple[str, str]] = Counter()
    accounts: Counter[str] = Counter()
    for row in postings:
        sums[row["transaction_id"], row["currency"]] += row["amount"]
        accounts[row["account"]] += row["amount"]
    yield from (f"{name} sums to {amount}" for name, amount in sums.items() if amount)
    wallets = {f"wallet/{row['user_id']}": row["balance"] for row in books.rows("payment", "SELECT * FROM wallets")}
    posted = {name: amount for name, amount in accounts.items() if name.startswith("wallet/") and amount}
    if posted != {name: balance for name, balance in wallets.items() if balance}:
        yield f"wallets hold {wallets}, and were given {posted}"
    yield from _top_ups(books, postings)


def _top_ups(books: Books, postings: list[Row]) -> Iterator[str]:
    rows = books.rows("payment", "SELECT id, amount, status, cancelled FROM payments WHERE purpose = 'top-up'")
    paid = {f"charge/{row['id']}": row["amount"] for row in rows if row["status"] in MONEY and not row["cancelled"]}
    posted = {
        row["transaction_id"]: row["amount"]
        for row in postings
        if row["transaction_id"].startswith("charge/") and row["account"].startswith("wallet/") and row["amount"] > 0
    }
    if paid != posted:
        yield f"top-ups were {paid}, and the wallets got {posted}"


def _bank(books: Books) -> Iterator[str]:
    ours = {row["id"]: row for row in books.rows("payment", "SELECT * FROM payments WHERE source <> 'wallet'")}
    theirs = {row["key"]: row for row in books.rows("bank", "SELECT * FROM charges")}
    for key, row in theirs.items():
        kept = row["amount"] - row["refunded"] if row["verdict"] == "charged" else 0
        known = ours.get(key)
        believed = known["amount"] - known["refunded"] if known and known["status"] in MONEY else 0
        if kept != believed or (row["verdict"] == "charged") != bool(known and known["status"] in MONEY):
            yield f"the bank kept {kept} of {key}, and we believe {believed}: {row} {known}"
    for key, row in ours.items():
        if row["status"] in MONEY and key not in theirs:
            yield f"the bank knows nothing of {key}"
    held: Counter[str] = Counter()
    for row in theirs.values():
        held[row["currency"]] += row["amount"] - row["refunded"] if row["verdict"] == "charged" else 0
    for row in books.rows(
        "payment", "SELECT currency, sum(amount) AS n FROM postings WHERE account = 'bank' GROUP BY 1"
    ):
        if held[row["currency"]] != -row["n"]:
            yield f"the bank holds {held[row['currency']]} {row['currency']}, and the ledger says {-row['n']}"


def _stock(books: Books) -> Iterator[str]:
    sold: Counter[str] = Counter()
    for order in books.orders():
        if status(order) in STANDING:
            sold.update({item.product_id: item.quantity for item in order.items})
    sql = "SELECT product_id, sum(delta) AS n FROM adjustments GROUP BY 1"
    received = {row["product_id"]: row["n"] for row in books.rows("inventory", sql)}
    rows = books.rows("inventory", "SELECT * FROM stock")
    for row in rows:
        name = row["product_id"]
        if row["reserved"]:
            yield f"{row['reserved']} of {name} are still reserved"
        if row["sold"] != sold[name]:
            yield f"{row['sold']} of {name} are sold, and {sold[name]} are in orders that stand"
        if not row["received"] == row["available"] + row["reserved"] + row["sold"] == received.get(name, 0):
            yield f"{name} does not add up: {row}, received {received.get(name, 0)}"
    for name in sold.keys() - {row["product_id"] for row in rows}:
        yield f"{name} was sold, and has no stock"


def _keys(books: Books) -> Iterator[str]:
    histories = books.histories()
    keys = books.rows("order", "SELECT caller, idempotency_key, subject, reply, status FROM souk_idempotency")
    orders = {order.id: order for order in books.orders()}
    subjects = Counter(row["subject"] for row in keys if row["subject"])
    yield from (f"{subject} has {number} keys" for subject, number in subjects.items() if number > 1)
    yield from (f"{order_id} has no key" for order_id in orders.keys() - subjects.keys())
    for row in keys:
        order = orders.get(row["subject"])
        if order is None and row["subject"]:
            yield f"a key leads to {row['subject']}, which is no order"
        answered = row["reply"] is not None or row["status"] is not None
        waits = order is not None and status(order) == "REJECTED" and order.retryable
        if answered == waits:
            yield f"the key of {row['subject'] or 'no order'} has {'an' if answered else 'no'} answer"
        if order is not None and (row["reply"] is not None) != ("OrderConfirmed" in histories[order.id]):
            yield f"the key of {order.id} tells another end than the order: {status(order)}"


def _told(books: Books) -> Iterator[str]:
    """Compares the published events of each order with its history: each must be published once."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    refunded: Counter[str] = Counter()
    histories = books.histories()
    for event in books.events():
        if event["type"] == "shop.order.v1.OrderRefunded":
            refunded[event["key"]] += order_pb2.OrderRefunded.FromString(event["payload"]).amount
        elif event["type"].startswith("shop.order.v1."):
            told[event["key"]][event["type"].rpartition(".")[2]] += 1
    for order in books.orders():
        history = set(histories[order.id])
        due = dict.fromkeys(("OrderConfirmed", "OrderCancelled", "OrderShipped", "OrderDelivered"), 1)
        due = {name: number for name, number in due.items() if name in history}
        if status(order) == "REJECTED" and not order.retryable:
            due["OrderRejected"] = 1
        if dict(told[order.id]) != due:
            yield f"{order.id}: {dict(told[order.id])} was told, and {due} happened"
        if refunded[order.id] != order.refunded_total:
            yield f"{order.id}: {order.refunded_total} was given back, and {refunded[order.id]} of it was told"


def _letters(books: Books) -> Iterator[str]:
    users = {row["id"] for row in books.rows("user", "SELECT id FROM users")}
    due, gone = set(), set()
    for event in books.events():
        if event["type"] in TEMPLATES:
            letter = draft(event["type"], event["payload"])
            assert letter is not None
            (due if letter.user_id in users else gone).add(event["id"])
    written = Mailbox(books.data / "notification" / "mailbox").names()
    yield from (f"no letter tells of {event_id}" for event_id in due - written)
    yield from (f"the letter {event_id} tells of nothing" for event_id in written - due - gone)


def _figures(books: Books) -> Iterator[str]:
    """Compares what Analytics counted with the orders: each that was confirmed once, and all that was given back."""
    generation = "SELECT generation FROM souk_generation WHERE projection = 'figures' AND is_live"
    histories, live = books.histories(), f"generation = ({generation})"
    confirmed = [order for order in books.orders() if "OrderConfirmed" in histories[order.id]]
    rows = books.rows("analytics", f"SELECT order_id FROM facts WHERE kind = 'confirmed' AND {live}")
    counted = Counter(row["order_id"] for row in rows)
    if counted != Counter(order.id for order in confirmed):
        yield f"{sum(counted.values())} orders are counted, and {len(confirmed)} were confirmed"
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for order in confirmed:
        sums["sales", order.currency].update({"count": 1, "amount": order.total})
        sums["refunds", order.currency].update({"amount": order.refunded_total})
    sql = f"SELECT measure, currency, count, amount FROM figures WHERE measure IN ('sales', 'refunds') AND {live}"
    for row in books.rows("analytics", sql):
        of_sale = {"count": row["count"]} if row["measure"] == "sales" else {}
        sums[row["measure"], row["currency"]].subtract({**of_sale, "amount": row["amount"]})
    yield from (
        f"the {name} differ by {dict(diff)} from the orders" for name, diff in sums.items() if any(diff.values())
    )
