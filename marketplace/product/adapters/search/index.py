"""How products lie in an index: its settings and mapping, and the document of a product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketplace.product.ports import IndexChange


@dataclass(frozen=True, slots=True)
class Analysis:
    """How texts become words: folded, stemmed as English, and for queries with synonyms in Solr's format.

    `is_plain` leaves out what needs the engines' module analysis-common; the words then come folded from us.
    """

    synonyms: Sequence[str] = ()
    is_plain: bool = False

    def settings(self) -> Mapping[str, Any]:
        """Makes the analysers `stored` and `queried`."""
        if self.is_plain:
            plain = {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}
            return {"analyzer": {"stored": plain, "queried": plain}}
        filters: dict[str, Any] = {"english": {"type": "stemmer", "language": "light_english"}}
        words, also = ["lowercase", "asciifolding"], []
        if self.synonyms:
            filters["synonyms"] = {"type": "synonym_graph", "synonyms": list(self.synonyms), "lenient": True}
            also = ["synonyms"]
        return {
            "filter": filters,
            "analyzer": {
                "stored": {"type": "custom", "tokenizer": "standard", "filter": [*words, "english"]},
                "queried": {"type": "custom", "tokenizer": "standard", "filter": [*words, *also, "english"]},
            },
        }


_KEYWORD, _LONG = {"type": "keyword"}, {"type": "long"}
_TEXT = {"type": "text", "analyzer": "stored", "search_analyzer": "queried"}
_MAPPING: Mapping[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "id": _KEYWORD,
        "deleted": {"type": "boolean"},
        "name": {**_TEXT, "copy_to": "text"},
        "category": {**_TEXT, "copy_to": "text"},
        "description": {**_TEXT, "copy_to": "text"},
        "text": _TEXT,
        "shown_name": {"type": "keyword", "index": False},
        "of_category": _KEYWORD,
        "sort_name": _KEYWORD,
        "price": _LONG,
        "created_at": _LONG,
        "updated_at": _LONG,
    },
}


def index_body(analysis: Analysis, alias: str) -> Mapping[str, Any]:
    """Makes the body of the request that makes an index under an alias."""
    index = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
    return {
        "settings": {"index": index, "analysis": analysis.settings()},
        "mappings": _MAPPING,
        "aliases": {alias: {}},
    }


def document_of(change: IndexChange, folded: Mapping[str, str]) -> Mapping[str, Any]:
    """Makes the document of a product; that of a deleted one stays, so that nothing older can bring it back.

    `folded` are name, category and description without case and accents.
    """
    product = change.product
    if product is None:
        return {"id": change.product_id, "deleted": True}
    return {
        "id": product.id,
        "deleted": False,
        **folded,
        "shown_name": product.name,
        "of_category": product.category,
        "sort_name": folded["name"],
        "price": product.price,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
    }
