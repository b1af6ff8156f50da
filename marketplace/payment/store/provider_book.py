"""The sandbox bank whose book holds this database's charges, in SQL."""

from souk.sdk import ConfigurationError, Database, Transaction

_BIND = "INSERT INTO provider_book (only_one, book) VALUES (1, $1) ON CONFLICT (only_one) DO NOTHING"
_BOUND = "SELECT book FROM provider_book"


async def require_same_book(database: Database, book: str) -> None:
    """Binds this database to a bank's book, once; raises ConfigurationError for another book.

    Another book means that each replica started a bank of its own, or that the bank's file was lost.
    """

    async def work(tx: Transaction) -> str:
        await tx.execute(_BIND, book)
        row = await tx.fetch_one(_BOUND)
        assert row is not None
        return str(row["book"])

    if await database.run(work, guarded=True) != book:
        raise ConfigurationError(
            "payment: its charges are in the book of another sandbox bank; several replicas need one bank in common:"
            " start it with `python -m marketplace.payment.adapters.sandbox_server`,"
            " and set provider_url and provider_key_file"
        )
