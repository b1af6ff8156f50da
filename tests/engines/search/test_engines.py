"""The suite against the real OpenSearch and Elasticsearch, and what only one of them has here."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from marketplace.product.adapters.search.by_url import open_engine
from marketplace.product.adapters.search.engine import Engine
from souk.testing.servers.elasticsearch import ElasticsearchServer
from souk.testing.servers.engine_server import EngineServer
from souk.testing.servers.opensearch import OpenSearchServer
from tests.engines.search.suite import SearchEngineSuite, build, ids, product

pytestmark = [pytest.mark.engines]
GROUP = pytest.mark.xdist_group


def url_of(server: EngineServer, options: str = "") -> str:
    assert isinstance(server, OpenSearchServer | ElasticsearchServer)
    return f"{server.url.replace('http', server.name)}?index=products-{uuid.uuid4().hex}{options}"


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchServer]:
    with OpenSearchServer(tmp_path_factory.mktemp("opensearch")) as server:
        yield server


@pytest.fixture(scope="module")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticsearchServer]:
    with ElasticsearchServer(tmp_path_factory.mktemp("elasticsearch")) as server:
        yield server


@GROUP("opensearch")
class TestOpenSearch(SearchEngineSuite):
    @pytest.fixture
    async def engine(self, opensearch: OpenSearchServer) -> AsyncIterator[Engine]:
        await opensearch.start()
        engine = open_engine(url_of(opensearch))
        yield engine
        await engine.close()

    async def test_words_are_stemmed(self, engine: Engine) -> None:
        await build(engine, [product("a", "Running shoes")])
        assert await ids(engine, "shoe run") == ["a"]

    async def test_synonyms_are_found(self, opensearch: OpenSearchServer) -> None:
        await opensearch.start()
        engine = open_engine(url_of(opensearch), ("sofa, couch", "tv => television"))
        await build(engine, [product("a", "Grey Sofa"), product("b", "Television")])
        assert await ids(engine, "couch grey") == ["a"]
        assert await ids(engine, "tv") == ["b"]
        await engine.close()


@GROUP("elasticsearch")
class TestElasticsearch(SearchEngineSuite):
    @pytest.fixture
    async def engine(self, elasticsearch: ElasticsearchServer) -> AsyncIterator[Engine]:
        await elasticsearch.start()
        engine = open_engine(url_of(elasticsearch, "&analysis=plain"))
        yield engine
        await engine.close()

    @pytest.mark.skip(reason="stemmers and synonyms are in the module analysis-common, which cannot be had here")
    async def test_words_are_stemmed_and_synonyms_found(self) -> None:
        raise AssertionError("never run")
