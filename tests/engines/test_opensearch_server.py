"""OpenSearch as tests start it: what was indexed outlives a crash, and its modules are there."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from souk.testing.servers.opensearch import OpenSearchServer

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("opensearch")]
PATIENCE = 60.0
ANALYSIS = {
    "filter": {"english": {"type": "stemmer", "language": "english"}},
    "analyzer": {"shop": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "english"]}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchServer]:
    with OpenSearchServer(tmp_path_factory.mktemp("opensearch")) as server:
        yield server


@pytest.fixture
async def opensearch(server: OpenSearchServer) -> OpenSearchServer:
    await server.start()
    return server


@pytest.fixture
async def client(opensearch: OpenSearchServer) -> AsyncIterator[AsyncOpenSearch]:
    async with AsyncOpenSearch(opensearch.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
async def index(client: AsyncOpenSearch) -> str:
    """A new index, which holds one product."""
    name = f"products-{uuid.uuid4().hex}"
    await client.indices.create(
        index=name,
        body={
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "analysis": ANALYSIS},
            "mappings": {"properties": {"name": {"type": "text", "analyzer": "shop"}, "price": {"type": "long"}}},
        },
    )
    await client.index(index=name, id="1", body={"name": "Running shoes from a café", "price": 5})
    return name


async def test_an_indexed_document_outlives_a_crash(
    opensearch: OpenSearchServer, client: AsyncOpenSearch, index: str
) -> None:
    opensearch.kill()
    assert not opensearch.running
    await opensearch.start()
    assert (await client.get(index=index, id="1"))["_source"]["price"] == 5


async def test_it_goes_on_after_a_stop(opensearch: OpenSearchServer, client: AsyncOpenSearch, index: str) -> None:
    await opensearch.stop()
    await opensearch.start()
    assert (await client.get(index=index, id="1"))["_source"]["price"] == 5


async def test_a_paused_node_answers_nobody(opensearch: OpenSearchServer, client: AsyncOpenSearch) -> None:
    opensearch.pause()
    with pytest.raises(ConnectionTimeout):
        await client.info(request_timeout=0.5)
    opensearch.resume()
    assert (await client.info())["version"]["distribution"] == "opensearch"


async def test_it_stems_folds_scripts_and_reindexes(client: AsyncOpenSearch, index: str) -> None:
    await client.indices.refresh(index=index)
    for words in ("shoe run", "cafe"):
        found = await client.search(index=index, body={"query": {"match": {"name": words}}})
        assert found["hits"]["total"]["value"] == 1
    script = {"source": "ctx._source.price += params.by", "params": {"by": 2}}
    await client.update(index=index, id="1", body={"script": script}, params={"refresh": "true"})
    await client.reindex(
        body={"source": {"index": index}, "dest": {"index": f"{index}-new"}}, params={"refresh": "true"}
    )
    assert (await client.get(index=f"{index}-new", id="1"))["_source"]["price"] == 7
