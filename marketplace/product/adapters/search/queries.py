"""What the engine is asked for a search, and how its answer is read."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from marketplace.product.domain.products import (
    MOST_CATEGORIES,
    MOST_SUGGESTIONS,
    PRICE_RANGES,
    RELEVANCE,
    Cursor,
    Facets,
    Listing,
    Search,
)
from marketplace.product.ports import EnginePage

_SORT_FIELDS = {"name": "sort_name", "price": "price", "createdAt": "created_at", RELEVANCE: "_score"}
_NAMES_READ = 20
_NOT_DELETED = {"term": {"deleted": False}}
Query = Mapping[str, Any]


def page_body(wanted: Search, after: Cursor | None, limit: int, *, corrected: bool) -> Query:
    """Makes the request for a page with its facets; `corrected` also finds words that are nearly those."""
    listing = wanted.listing
    field = _SORT_FIELDS[listing.sort.removeprefix("-")]
    order = "desc" if listing.sort.startswith("-") or listing.sort == RELEVANCE else "asc"
    by_id = "asc" if listing.sort == RELEVANCE else order
    body: dict[str, Any] = {
        "size": limit,
        "_source": False,
        "query": {"bool": {"must": [_match(wanted.words, corrected=corrected)], "filter": [_NOT_DELETED]}},
        "post_filter": _every([*_category(listing), *_price(listing)]),
        "sort": [{field: order}, {"id": by_id}],
        "track_scores": listing.sort == RELEVANCE,
        "track_total_hits": False,
        "aggs": {
            "categories": _counted(_price(listing), {"terms": {"field": "of_category", "size": MOST_CATEGORIES}}),
            "prices": _counted(_category(listing), {"range": {"field": "price", "ranges": _RANGES}}),
        },
    }
    if after is not None:
        key = _score_of(int(after.key)) if listing.sort == RELEVANCE else after.key
        body["search_after"] = [key, after.product_id]
    return body


def suggestions_body(wanted: Search, *, corrected: bool) -> Query:
    """Makes the request for names of products that have the words, the best first."""
    text = " ".join(wanted.words)
    names: list[Query] = [{"match_bool_prefix": {"name": {"query": text, "operator": "and"}}}]
    if corrected:
        names.append({"match": {"name": {"query": text, "operator": "and", "fuzziness": "AUTO"}}})
    return {
        "size": _NAMES_READ,
        "_source": ["shown_name"],
        "query": {"bool": {"must": [{"dis_max": {"queries": names}}], "filter": [_NOT_DELETED]}},
        "sort": ["_score", {"id": "asc"}],
    }


def _match(words: Sequence[str], *, corrected: bool) -> Query:
    """Every word must occur somewhere, the last one as a beginning; the name weighs most."""
    text = " ".join(words)
    whole = {"query": text, "operator": "and"}
    ways: list[Query] = [{"match": {"text": {**whole, "boost": 3.0}}}, {"match_bool_prefix": {"text": whole}}]
    if corrected:
        ways.append({"match": {"text": {**whole, "fuzziness": "AUTO"}}})
    # The beginning weighs in the name, and whole words in each field.
    fields = ["name^10", "category^4", "description"]
    better: list[Query] = [
        {"multi_match": {"query": text, "fields": fields, "type": "most_fields"}},
        {"match_bool_prefix": {"name": {"query": text, "boost": 5.0}}},
    ]
    if corrected:
        better.append({"match": {"name": {"query": text, "fuzziness": "AUTO", "boost": 5.0}}})
    return {"bool": {"must": [{"dis_max": {"queries": ways}}], "should": better}}


_RANGES = [
    {"key": str(one.min_price), "from": one.min_price, **({} if one.max_price is None else {"to": one.max_price + 1})}
    for one in PRICE_RANGES
]


def _counted(conditions: Sequence[Query], what: Query) -> Query:
    return {"filter": _every(conditions), "aggs": {"counted": what}}


def _every(conditions: Sequence[Query]) -> Query:
    return {"bool": {"filter": list(conditions)}} if conditions else {"match_all": {}}


def _category(listing: Listing) -> list[Query]:
    return [] if listing.category is None else [{"term": {"of_category": listing.category}}]


def _price(listing: Listing) -> list[Query]:
    limits = {"gte": listing.min_price, "lte": listing.max_price}
    given = {name: value for name, value in limits.items() if value is not None}
    return [{"range": {"price": given}}] if given else []


def read_page(wanted: Search, found: Mapping[str, Any], names: Mapping[str, Any]) -> EnginePage:
    """Reads the answers to `page_body` and `suggestions_body`."""
    by_score = wanted.listing.sort == RELEVANCE
    cursors = [
        Cursor(_key_of(hit["sort"][0]) if by_score else hit["sort"][0], hit["_id"]) for hit in found["hits"]["hits"]
    ]
    shown = dict.fromkeys(hit["_source"]["shown_name"] for hit in names["hits"]["hits"])
    return EnginePage(cursors, _read_facets(found["aggregations"]), list(shown)[:MOST_SUGGESTIONS])


def matches_nothing(found: Mapping[str, Any]) -> bool:
    """Tells whether nothing has the words, whatever the filters leave out."""
    facets = found["aggregations"]
    return not found["hits"]["hits"] and not any(facets[name]["doc_count"] for name in ("categories", "prices"))


def _read_facets(answer: Mapping[str, Any]) -> Facets:
    prices = {bucket["key"]: bucket["doc_count"] for bucket in answer["prices"]["counted"]["buckets"]}
    return Facets(
        {bucket["key"]: bucket["doc_count"] for bucket in answer["categories"]["counted"]["buckets"]},
        {one: prices[str(one.min_price)] for one in PRICE_RANGES},
    )


def _key_of(score: float) -> int:
    """Returns the bits of a score, which the engine has in 32 bits; they are above 0 as it is."""
    return int.from_bytes(struct.pack(">f", score)) + 1


def _score_of(key: int) -> float:
    score: float = struct.unpack(">f", (key - 1).to_bytes(4))[0]
    return score
