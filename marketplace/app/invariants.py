"""What must be equal in the marketplace, whatever happened to it: the console compares it while the system runs."""

from souk.sdk import Invariant

INVARIANTS = (
    Invariant(
        "Money of orders",
        "What Payment took for orders and has not given back is what orders that were confirmed cost, without refunds.",
        ("payment/kept of orders",),
        ("analytics/sales without refunds",),
    ),
    Invariant(
        "Ledger",
        "All postings sum to zero: what one account gets, others give.",
        ("payment/postings",),
    ),
    Invariant(
        "Bank",
        "What was taken from cards and not given back is what the ledger says the bank owes.",
        ("payment/kept of cards",),
        ("payment/owed by the bank",),
    ),
    Invariant(
        "Wallets",
        "What wallets hold is what the ledger gave them.",
        ("payment/in wallets",),
        ("payment/posted to wallets",),
    ),
    Invariant(
        "Stock adds up",
        "Every piece that was received is available, reserved or sold.",
        ("inventory/received",),
        ("inventory/available", "inventory/reserved", "inventory/sold"),
    ),
    Invariant(
        "Stock was delivered",
        "What was received is what people recorded, each change once.",
        ("inventory/received",),
        ("inventory/adjusted",),
    ),
)
