"""Elasticsearch as tests start it: what was indexed outlives a crash, and it finds what is misspelt."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from elasticsearch import AsyncElasticsearch, BadRequestError, ConnectionTimeout

from souk.testing.servers.elasticsearch import ElasticsearchServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("elasticsearch")]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticsearchServer]:
    with ElasticsearchServer(tmp_path_factory.mktemp("elasticsearch")) as server:
        yield server


@pytest.fixture
async def elasticsearch(server: ElasticsearchServer) -> ElasticsearchServer:
    await server.start()
    return server


@pytest.fixture
async def client(elasticsearch: ElasticsearchServer) -> AsyncIterator[AsyncElasticsearch]:
    async with AsyncElasticsearch(elasticsearch.url, request_timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def index(client: AsyncElasticsearch) -> str:
    """A new index, which holds one product."""
    name = f"products-{uuid.uuid4().hex}"
    await client.indices.create(
        index=name,
        settings={"number_of_shards": 1, "number_of_replicas": 0},
        mappings={"properties": {"name": {"type": "text"}, "brand": {"type": "keyword"}, "price": {"type": "long"}}},
    )
    await client.index(index=name, id="1", document={"name": "Running shoes", "brand": "Acme", "price": 5})
    return name


async def test_an_indexed_document_outlives_a_crash(
    elasticsearch: ElasticsearchServer, client: AsyncElasticsearch, index: str
) -> None:
    elasticsearch.kill()
    assert not elasticsearch.running
    await elasticsearch.start()
    assert (await client.get(index=index, id="1"))["_source"]["price"] == 5


async def test_it_goes_on_after_a_stop(
    elasticsearch: ElasticsearchServer, client: AsyncElasticsearch, index: str
) -> None:
    await elasticsearch.stop()
    await elasticsearch.start()
    assert (await client.get(index=index, id="1"))["_source"]["price"] == 5


async def test_a_paused_node_answers_nobody(
    elasticsearch: ElasticsearchServer, client: AsyncElasticsearch, index: str
) -> None:
    elasticsearch.pause()
    with pytest.raises(ConnectionTimeout):
        await client.options(request_timeout=0.5, max_retries=0).get(index=index, id="1")
    elasticsearch.resume()
    assert (await client.get(index=index, id="1"))["found"]


async def test_it_finds_and_counts(client: AsyncElasticsearch, index: str) -> None:
    await client.indices.refresh(index=index)
    query = {"match": {"name": {"query": "runing shos", "fuzziness": "AUTO", "operator": "and"}}}
    found = await client.search(index=index, query=query, aggs={"brands": {"terms": {"field": "brand"}}})
    assert found["hits"]["total"]["value"] == 1
    assert found["aggregations"]["brands"]["buckets"] == [{"key": "Acme", "doc_count": 1}]


async def test_what_it_lacks_is_refused(client: AsyncElasticsearch) -> None:
    """A test that needs a stemmer runs on OpenSearch."""
    analysis = {"filter": {"english": {"type": "stemmer", "language": "english"}}}
    with pytest.raises(BadRequestError, match="stemmer"):
        await client.indices.create(index=f"products-{uuid.uuid4().hex}", settings={"analysis": analysis})
