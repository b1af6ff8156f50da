"""Measures searches in OpenSearch through Product's adapter and in its database, beside the official client alone.

All search the same catalogue for the same words, in turns: words of products, one in five with a typing mistake.
The client alone sends what a user of it would write: one request with fuzzy words, and counts by category and price.
The adapter asks for suggestions as well, and a second time when nothing has the words as they are.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import AsyncOpenSearch

from bench.figures import Figure, Section, median, progress
from marketplace.product.adapters.search.by_url import open_engine
from marketplace.product.domain.products import Product, Search
from marketplace.product.domain.words import query_words
from marketplace.product.ports import IndexChange, SearchUnavailable
from marketplace.product.service import service
from marketplace.product.store.products import ProductStore
from souk.testing.servers.opensearch import OpenSearchServer
from souk.testing.service_host import service_host

CLIENTS = 8
LIMIT = 20
INDEX = "bench-products"
_AT_ONCE = 500
_SYLLABLES = ("ka", "lo", "mi", "ran", "te", "su", "vel", "dor", "pin", "ja", "qui", "bas", "nor", "fe", "glu", "cho")
_CATEGORIES = ("kitchen", "garden", "toys", "books", "electronics", "home")

Ask = Callable[[str], Awaitable[object]]


def measure(folder: Path, *, products: int, seconds: float, rounds: int) -> Section:
    """Measures all three; without OpenSearch on this machine the section only says so."""
    section = Section("search")
    home = folder / "search"
    (home / "database").mkdir(parents=True)
    try:
        server = OpenSearchServer(home)
    except pytest.skip.Exception as error:
        section.notes.append(f"search: not measured: {error}")
        return section
    with server:
        asyncio.run(_measure(section, home, server, _catalogue(products), seconds, rounds))
    return section


async def _measure(
    section: Section, folder: Path, server: OpenSearchServer, catalogue: Sequence[Product], seconds: float, rounds: int
) -> None:
    progress("search: starting OpenSearch, and filling it and a database")
    await server.start()
    engine = open_engine(f"{server.url.replace('http', 'opensearch')}?index={INDEX}")
    client = AsyncOpenSearch(server.url)
    async with service_host(service, folder / "database") as host:
        store = ProductStore(host.outbox)
        await engine.begin(1)
        for at in range(0, len(catalogue), _AT_ONCE):
            some = catalogue[at : at + _AT_ONCE]
            await engine.fill([IndexChange(one.id, one.updated_at, one) for one in some])
            await asyncio.gather(*(host.database.run(partial(store.add, product=one)) for one in some))
        await engine.switch(1)

        async def by_engine(text: str) -> object:
            try:
                return await engine.search(Search(query_words(text)), None, LIMIT)
            except SearchUnavailable as error:  # in service, the database would be asked now
                given_up.append(error.reason)
                return None

        async def by_database(text: str) -> object:
            wanted = Search(query_words(text))
            return await host.database.read(partial(store.search, wanted=wanted, after=None, limit=LIMIT), long=True)

        ways: dict[str, Ask] = {
            "client": lambda text: client.search(index=INDEX, body=_plain_request(text)),
            "adapter": by_engine,
            "database": by_database,
        }
        given_up: list[str] = []
        found: dict[str, list[list[float]]] = {name: [] for name in ways}
        try:
            for ask in ways.values():  # warms up the engine, the database and this process
                await _round(ask, _texts(catalogue, rounds), seconds)
            for number in range(rounds):
                progress(f"search: round {number + 1} of {rounds}")
                for name, ask in ways.items():
                    found[name].append(await _round(ask, _texts(catalogue, number), seconds))
        finally:
            await asyncio.gather(engine.close(), client.close())
    _report(section, len(catalogue), found, seconds)
    if given_up:
        section.notes.append(
            f"search: the adapter gave up {len(given_up)} searches ({', '.join(sorted(set(given_up)))})"
        )


async def _round(ask: Ask, texts: Sequence[str], seconds: float) -> list[float]:
    """Searches with CLIENTS tasks for `seconds`; returns how long each search took, in milliseconds."""
    took: list[float] = []
    await ask(texts[0])
    end = time.monotonic() + seconds

    async def search(number: int) -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            await ask(texts[number % len(texts)])
            took.append((time.monotonic() - begun) * 1_000)
            number += CLIENTS

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(search(number))
    return took


def _report(section: Section, products: int, found: dict[str, list[list[float]]], seconds: float) -> None:
    section.details = {name: [_summary(took, seconds) for took in rounds] for name, rounds in found.items()}
    titles = {
        "client": f"search in {products:,} products: opensearch-py alone",
        "adapter": "  through Product's adapter, with suggestions and corrections",
        "database": "  in Product's database (SQLite), the same answer",
    }
    for name, title in titles.items():
        for what in ("p50", "p99"):
            values = [one[what] for one in section.details[name]]
            beside = [one[what] for one in section.details["client"]]
            ratio = None if name == "client" else median(a / b for a, b in zip(values, beside, strict=True))
            against = "" if name == "client" else "the client alone"
            section.add(Figure(f"{title}, {what}", median(values), "ms", against, ratio))


def _summary(took: Sequence[float], seconds: float) -> dict[str, float]:
    cuts = statistics.quantiles(took, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "searches/s": len(took) / seconds}


def _plain_request(text: str) -> dict[str, Any]:
    return {
        "size": LIMIT,
        "query": {
            "multi_match": {
                "query": text,
                "fields": ["name^3", "category^2", "description"],
                "fuzziness": "AUTO",
                "operator": "and",
            }
        },
        "aggs": {
            "categories": {"terms": {"field": "of_category"}},
            "prices": {"range": {"field": "price", "ranges": [{"to": 1_000}, {"from": 1_000}]}},
        },
    }


def _catalogue(products: int) -> list[Product]:
    """Makes products with names of two of some thousand words."""
    chance = random.Random(1)
    words = ["".join(chance.choices(_SYLLABLES, k=3)) for _ in range(2_000)]
    return [
        Product(
            id=f"P-{number:06}",
            name=" ".join(chance.sample(words, 2)).title(),
            description=" ".join(chance.sample(words, 8)),
            category=chance.choice(_CATEGORIES),
            price=chance.randrange(100, 50_000),
            currency="EUR",
            image_url=None,
            created_at=1_800_000_000_000_000 + number,
            updated_at=1_800_000_000_000_000 + number,
        )
        for number in range(products)
    ]


def _texts(catalogue: Sequence[Product], seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        _mistyped(text, chance) if number % 5 == 0 else text for number, text in enumerate(_asked(catalogue, chance))
    ]


def _asked(catalogue: Sequence[Product], chance: random.Random) -> list[str]:
    return [chance.choice(catalogue).name.split()[0] for _ in range(400)]


def _mistyped(word: str, chance: random.Random) -> str:
    """Leaves out one letter that is not the first."""
    at = chance.randrange(1, len(word))
    return word[:at] + word[at + 1 :]
