"""The index of the catalogue in OpenSearch or Elasticsearch.

An index lies behind the alias `<index>`, and one that is being built behind `<index>-next`. Changes are written to
both aliases, and an alias that does not exist takes none: so nothing needs to know whether an index is being built.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from marketplace.product.adapters.search.index import Analysis, document_of, index_body
from marketplace.product.adapters.search.queries import matches_nothing, page_body, read_page, suggestions_body
from marketplace.product.adapters.search.transport import (
    REFUSED,
    UNHEALTHY,
    EngineRefusal,
    EngineTransport,
    unavailable,
)
from marketplace.product.domain.products import Cursor, Search
from marketplace.product.domain.words import folded
from marketplace.product.ports import EnginePage, IndexChange, ProductRefused, SearchUnavailable

SEARCH_TIMEOUT = 0.5
"""Seconds; the method has two, and the database answers if the engine does not."""
WRITE_TIMEOUT = 5.0
ADMIN_TIMEOUT = 30.0
_OLDER, _MISSING = 409, 404


class Engine:
    """Implements `ports.SearchEngine`."""

    def __init__(self, transport: EngineTransport, index: str, analysis: Analysis) -> None:
        self.name = transport.name
        self._transport, self._index, self._next, self._analysis = transport, index, f"{index}-next", analysis

    async def search(self, wanted: Search, after: Cursor | None, limit: int) -> EnginePage:
        """Searches; the second time, if there is one, with corrected words."""
        try:
            found, names = await self._ask(wanted, after, limit, corrected=False)
            if matches_nothing(found):
                found, names = await self._ask(wanted, after, limit, corrected=True)
            return read_page(wanted, found, names)
        except EngineRefusal as error:  # such as for an index with another mapping
            raise SearchUnavailable(REFUSED, f"the search engine refuses the search: {error}") from error
        except (LookupError, TypeError, ValueError) as error:  # what answered is no search engine
            raise SearchUnavailable(UNHEALTHY, "the answer of the search engine cannot be read") from error

    async def _ask(
        self, wanted: Search, after: Cursor | None, limit: int, *, corrected: bool
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        bodies = page_body(wanted, after, limit, corrected=corrected), suggestions_body(wanted, corrected=corrected)
        lines = b"".join(orjson.dumps(part) + b"\n" for body in bodies for part in (_WHOLE, body))
        answer = await self._send("POST", f"/{self._index}/_msearch", lines, timeout=SEARCH_TIMEOUT)
        for one in answer["responses"]:
            if "error" in one:
                raise _failure(int(one["status"]), one["error"])
        return answer["responses"][0], answer["responses"][1]

    async def write(self, changes: Sequence[IndexChange]) -> Sequence[ProductRefused | None]:
        """Writes to both aliases in one request."""
        ends = await self._bulk(changes, (self._index, self._next))
        return [_end(change, of_both) for change, of_both in zip(changes, ends, strict=True)]

    async def _bulk(self, changes: Sequence[IndexChange], aliases: Sequence[str]) -> Iterator[Sequence[Any]]:
        lines = b"".join(_lines(change, alias) for change in changes for alias in aliases)
        answer = await self._send("POST", "/_bulk", lines, timeout=WRITE_TIMEOUT)
        try:
            items = iter([item["index"] for item in answer["items"]])
        except (LookupError, TypeError) as error:
            raise SearchUnavailable(UNHEALTHY, "the answer of the search engine cannot be read") from error
        return zip(*[items] * len(aliases), strict=True)

    async def versions(self, product_ids: Sequence[str]) -> Mapping[str, int]:
        """Asks for documents by their ids, which sees what no refresh has shown yet."""
        if not product_ids:
            return {}
        path = f"/{self._index}/_mget?_source=false"
        answer = await self._send("POST", path, {"ids": list(product_ids)}, timeout=ADMIN_TIMEOUT)
        for one in answer["docs"]:
            if "error" in one:
                raise _failure(_MISSING, one["error"])
        return {one["_id"]: one["_version"] for one in answer["docs"] if one["found"]}

    async def live(self) -> str | None:
        """Looks behind the alias."""
        return next(iter(await self._indices(self._index)), None)

    async def building(self) -> str | None:
        """Looks behind the alias of the next one."""
        return next(iter(await self._indices(self._next)), None)

    async def begin(self, generation: int) -> str:
        """Makes an index with the alias of the next one, once no other has it: two would take no changes."""
        for name in await self._indices(self._next):
            await self._send("DELETE", f"/{name}?ignore_unavailable=true", timeout=ADMIN_TIMEOUT)
        name = f"{self._of(generation)}{secrets.token_hex(4)}"
        await self._send("PUT", f"/{name}", index_body(self._analysis, self._next), timeout=ADMIN_TIMEOUT)
        return name

    async def fill(self, changes: Sequence[IndexChange]) -> None:
        """Writes to the alias of the next index."""
        for change, ends in zip(changes, await self._bulk(changes, (self._next,)), strict=True):
            if refused := _end(change, ends):
                raise refused

    async def switch(self, generation: int) -> None:
        """Moves the alias; what it led to before is deleted in the same step."""
        new = [name for name in await self._indices(self._next) if name.startswith(self._of(generation))]
        if not new:  # it has been done, or another rebuild was begun
            return
        await self._send("POST", f"/{self._next}/_refresh", timeout=ADMIN_TIMEOUT)
        old = [name for name in await self._indices(self._index) if name not in new]
        actions: list[Mapping[str, Any]] = [{"add": {"index": name, "alias": self._index}} for name in new]
        actions += [{"remove": {"index": name, "alias": self._next}} for name in new]
        actions += [{"remove_index": {"index": name}} for name in old]
        await self._send("POST", "/_aliases", {"actions": actions}, timeout=ADMIN_TIMEOUT)

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()

    def _of(self, generation: int) -> str:
        return f"{self._index}-{generation}-"

    async def _indices(self, alias: str) -> list[str]:
        """Returns the names of the indices behind an alias."""
        try:
            found = await self._transport.send("GET", f"/_alias/{alias}", timeout=ADMIN_TIMEOUT)
        except EngineRefusal as error:
            if error.status == _MISSING:
                return []
            raise unavailable(error) or error from error
        return sorted(found)

    async def _send(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        try:
            return await self._transport.send(method, path, body, timeout=timeout)
        except EngineRefusal as error:
            raise unavailable(error) or error from error


_WHOLE = {"allow_partial_search_results": False}
"""A part of an answer is none: the database has it whole."""


def _lines(change: IndexChange, alias: str) -> bytes:
    where = {
        "_index": alias,
        "_id": change.product_id,
        "version": change.version,
        "version_type": "external",
        "require_alias": True,
    }
    product = change.product
    texts = {} if product is None else {name: folded(getattr(product, name)) for name in _TEXTS}
    return orjson.dumps({"index": where}) + b"\n" + orjson.dumps(document_of(change, texts)) + b"\n"


_TEXTS = ("name", "category", "description")


def _end(change: IndexChange, ends: Sequence[Mapping[str, Any]]) -> ProductRefused | None:
    """Returns what became of a change; raises SearchUnavailable when it is to be written again."""
    missing = 0
    for end in ends:
        if "error" not in end or end["status"] == _OLDER:
            continue
        failure = _failure(int(end["status"]), end["error"])
        if end["status"] == _MISSING:
            missing += 1
        elif isinstance(failure, SearchUnavailable):
            raise failure
        else:
            return ProductRefused(f"the search engine refuses product {change.product_id}: {failure}")
    if missing == len(ends):
        raise _failure(_MISSING, ends[0]["error"])
    return None


def _failure(status: int, error: Mapping[str, Any]) -> SearchUnavailable | EngineRefusal:
    cause = error.get("caused_by") if isinstance(error.get("caused_by"), Mapping) else None
    detail = "; ".join(str(one.get("reason")) for one in (error, cause) if one is not None)
    refused = EngineRefusal(status, str(error.get("type")), detail[:500])
    return unavailable(refused) or refused
