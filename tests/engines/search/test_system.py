"""A whole system with a real search engine: what is found, who answered, and what happens when the engine fails."""

import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from souk.runtime.data.layout import DataLayout
from souk.testing.servers.opensearch import OpenSearchServer
from souk.testing.system import System, embedded, fleet, until

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("opensearch")]
LIMIT = 180.0
PRODUCTS = "/api/v1/products"


class Shop:
    """A system, used as an administrator, and its engine."""

    def __init__(self, system: System, engine: str, index: str) -> None:
        self.system, self.engine, self.index = system, engine, index
        login = {"email": "admin@souk.test", "password": "admin-password"}
        token = httpx.post(f"{system.url}/api/v1/auth/token", json=login, timeout=120, trust_env=False)
        assert token.is_success, token.text
        bearer = {"authorization": f"Bearer {token.json()['accessToken']}"}
        self.client = httpx.Client(base_url=system.url, headers=bearer, timeout=120, trust_env=False)

    def add(self, product_id: str, name: str, price: int = 100) -> None:
        body = {"id": product_id, "name": name, "description": "", "category": "new", "price": price, "currency": "EUR"}
        self.client.post(PRODUCTS, json=body).raise_for_status()

    def search(self, q: str, **query: Any) -> tuple[list[str], str]:
        """The ids that are found, and who found them."""
        answer = self.client.get(f"{PRODUCTS}:search", params={"q": q, **query}).raise_for_status()
        return [one["id"] for one in answer.json()["products"]], answer.headers["x-search-backend"]

    def eventually(self, q: str, expected: tuple[list[str], str]) -> None:
        until(lambda: self.search(q) == expected, LIMIT, f"{q} finds {expected}")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return httpx.request(method, f"{self.engine}{path}", json=body, timeout=60, trust_env=False)

    def rebuild(self, *more: str) -> subprocess.CompletedProcess[str]:
        data = ["--data", str(self.system.data)]
        command = [sys.executable, "-m", "souk.cli", "rebuild", "product.search-index", *data, *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)

    def close(self) -> None:
        self.client.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchServer]:
    with OpenSearchServer(tmp_path_factory.mktemp("opensearch")) as server:
        yield server


@pytest.fixture
async def opensearch(server: OpenSearchServer) -> OpenSearchServer:
    await server.start()
    return server


@pytest.fixture
def run(opensearch: OpenSearchServer, tmp_path: Path) -> Iterator[Callable[[], Shop]]:
    index, opened = f"products-{uuid.uuid4().hex}", list[Shop]()
    url = f"{opensearch.url.replace('http', 'opensearch')}?index={index}"
    with embedded(tmp_path, settings={"SOUK_SEARCH": url}) as system:

        def shop() -> Shop:
            opened.append(Shop(system, opensearch.url, index))
            return opened[-1]

        yield shop
        for one in opened:
            one.close()


def test_changes_are_found_through_the_engine(run: Callable[[], Shop]) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    shop.add("P-new", "Samovar")
    shop.eventually("samovra", (["P-new"], "opensearch"))
    shop.client.patch(f"{PRODUCTS}/P-new", json={"name": "Urn"}).raise_for_status()
    shop.eventually("urn", (["P-new"], "opensearch"))
    shop.eventually("samovar", ([], "opensearch"))
    shop.client.delete(f"{PRODUCTS}/P-new").raise_for_status()
    shop.eventually("urn", ([], "opensearch"))
    metrics = shop.client.get("/metrics").text
    assert 'souk_product_searches_total{backend="opensearch",reason=""}' in metrics
    assert "souk_product_index_lag_seconds " in metrics


def test_what_changed_while_the_system_ran_without_the_engine_is_found(
    opensearch: OpenSearchServer, tmp_path: Path
) -> None:
    index = f"products-{uuid.uuid4().hex}"
    with_it = {"SOUK_SEARCH": f"{opensearch.url.replace('http', 'opensearch')}?index={index}"}

    @contextmanager
    def shop(settings: Mapping[str, str]) -> Iterator[Shop]:
        with embedded(tmp_path, settings=settings) as system:
            opened = Shop(system, opensearch.url, index)
            yield opened
            opened.close()
            system.stop()

    with shop(with_it) as first:
        first.eventually("headphnes", (["P-123"], "opensearch"))
        current = "souk_product_index_current 1.0"
        until(lambda: current in first.client.get("/metrics").text, LIMIT, "the index has every change")
    with shop({}) as without:
        without.add("P-new", "Samovar")
        without.client.delete(f"{PRODUCTS}/P-123").raise_for_status()
        followed = "SELECT count(*) FROM followed_indices"
        until(lambda: rows(tmp_path / "data" / "product.db", followed) == [(0,)], LIMIT, "it is recorded")
    with shop(with_it) as again:
        again.eventually("samovar", (["P-new"], "opensearch"))
        assert again.rebuild("--check").returncode == 0
        assert "it has not had every change" in again.system.output()


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10.0)) as connection:
        return connection.execute(sql).fetchall()


def test_in_a_fleet_a_change_comes_to_the_index_through_the_bus(opensearch: OpenSearchServer, tmp_path: Path) -> None:
    index = f"products-{uuid.uuid4().hex}"
    settings = {"SOUK_SEARCH": f"{opensearch.url.replace('http', 'opensearch')}?index={index}"}
    with fleet(tmp_path, arguments=("--scale", "product=2"), settings=settings) as system:
        shop = Shop(system, opensearch.url, index)
        shop.eventually("headphnes", (["P-123"], "opensearch"))
        (built,) = shop.ask("GET", f"/_alias/{index}").json()
        assert list(shop.ask("GET", f"/{index}-*/_alias").json()) == [built], "two processes have built one index"
        shop.add("P-new", "Samovar")
        shop.eventually("samovra", (["P-new"], "opensearch"))
        bus = DataLayout(system.data.resolve()).bus_socket
        with redis.Redis(unix_socket_path=str(bus), socket_timeout=10.0) as client:
            assert read_of_bus(client, b"product/search-index") > 0
        shop.close()


def read_of_bus(client: Any, group: bytes) -> int:
    """Counts the events of Product that a group has read from the streams of the bus."""
    streams = [name for name in client.scan_iter(_type="stream", count=1_000) if name.startswith(b"{shop.product}")]
    groups = [one for stream in streams for one in client.xinfo_groups(stream)]
    return sum(one["entries-read"] or 0 for one in groups if one["name"] == group)


def test_the_index_is_built_anew_and_checked_by_the_command(run: Callable[[], Shop]) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    (before,) = shop.ask("GET", f"/_alias/{shop.index}").json()
    assert shop.rebuild("--check").returncode == 0
    path = f"/{before}/_doc/P-123?refresh=true"
    shop.ask("DELETE", path)
    wrong = shop.rebuild("--check")
    assert (wrong.returncode, "P-123" in wrong.stdout) == (1, True), wrong
    done = shop.rebuild()
    assert done.returncode == 0, done
    (after,) = shop.ask("GET", f"/_alias/{shop.index}").json()
    assert after != before
    assert shop.ask("GET", f"/{before}").status_code == 404
    assert shop.rebuild("--check").returncode == 0
    shop.eventually("headphnes", (["P-123"], "opensearch"))


async def test_nothing_is_lost_when_the_engine_is_killed(run: Callable[[], Shop], opensearch: OpenSearchServer) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    for number in range(20):
        shop.add(f"P-a{number}", f"Samovar {number}")
        if number == 10:
            opensearch.kill()
    found, backend = shop.search("samovar", pageSize=100)
    assert (len(found), backend.split("=")[0]) == (20, "database; reason")
    until(lambda: shop.search("samovar")[1] == "database; reason=breaker-open", LIMIT, "it is not asked any more")
    await opensearch.start()
    until(lambda: shop.search("samovar", pageSize=100)[1] == "opensearch", LIMIT, "the engine is used again")
    until(lambda: len(shop.search("samovar", pageSize=100)[0]) == 20, LIMIT, "every change is in the index")


def test_a_slow_engine_is_not_waited_for(run: Callable[[], Shop], opensearch: OpenSearchServer) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    opensearch.pause()
    assert shop.search("headphnes") == (["P-123"], "database; reason=timeout")
    opensearch.resume()
    shop.eventually("headphnes", (["P-123"], "opensearch"))


def test_a_page_goes_on_where_it_began(run: Callable[[], Shop], opensearch: OpenSearchServer) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    query = {"q": "cotton", "pageSize": 2}
    of_engine = shop.client.get(f"{PRODUCTS}:search", params=query).json()["nextPageToken"]
    opensearch.pause()
    refused = shop.client.get(f"{PRODUCTS}:search", params={**query, "pageToken": of_engine})
    assert refused.status_code == 400
    assert "begin the search again" in refused.text
    of_database = shop.client.get(f"{PRODUCTS}:search", params=query).json()["nextPageToken"]
    opensearch.resume()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    found, backend = shop.search("cotton", pageSize=2, pageToken=of_database)
    assert (len(found), backend) == (2, "database")


def test_a_red_index_is_not_asked(run: Callable[[], Shop], opensearch: OpenSearchServer) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    ((index, about),) = shop.ask("GET", f"/{shop.index}/_settings").json().items()
    (files,) = opensearch.folder.glob(f"**/indices/{about['settings']['index']['uuid']}/0/index")
    away = files.with_name("away")
    shop.ask("POST", f"/{index}/_close").raise_for_status()
    files.rename(away)
    shop.ask("POST", f"/{index}/_open?wait_for_active_shards=0").raise_for_status()
    assert shop.ask("GET", f"/_cluster/health/{index}").json()["status"] == "red"
    assert shop.search("headphnes") == (["P-123"], "database; reason=unhealthy")
    shutil.rmtree(files, ignore_errors=True)
    away.rename(files)
    again = {"index": index, "shard": 0, "node": "souk", "accept_data_loss": True}
    reroute = {"commands": [{"allocate_stale_primary": again}]}
    shop.ask("POST", "/_cluster/reroute", reroute).raise_for_status()
    shop.eventually("headphnes", (["P-123"], "opensearch"))


def test_changes_wait_while_the_engines_disk_is_full(run: Callable[[], Shop]) -> None:
    shop = run()
    shop.eventually("headphnes", (["P-123"], "opensearch"))
    marks = {
        f"cluster.routing.allocation.disk.watermark.{name}": "1000000gb" for name in ("low", "high", "flood_stage")
    }
    fast = {"cluster.info.update.interval": "10s", "cluster.routing.allocation.disk.threshold_enabled": "true"}
    shop.ask("PUT", "/_cluster/settings", {"persistent": {**marks, **fast}}).raise_for_status()
    try:
        block = f"/{shop.index}/_settings/index.blocks.read_only_allow_delete?flat_settings=true"
        until(lambda: '"true"' in shop.ask("GET", block).text, LIMIT, "the flood stage")
        shop.add("P-full", "Samovar")
        until(lambda: "SearchUnavailable" in shop.system.log, LIMIT, "the event is postponed")
        shop.eventually("headphnes", (["P-123"], "opensearch"))
        shop.eventually("samovar", ([], "opensearch"))
    finally:
        # The monitor takes its blocks back only while it watches.
        plenty = dict.fromkeys(marks, "1mb")
        shop.ask("PUT", "/_cluster/settings", {"persistent": plenty}).raise_for_status()
        blocks = "/_cluster/settings?flat_settings=true"
        until(lambda: "create_index" not in shop.ask("GET", blocks).text, LIMIT, "the engine takes indices again")
    shop.eventually("samovar", (["P-full"], "opensearch"))


async def test_a_mapping_conflict_parks_what_is_refused_and_nothing_else(
    opensearch: OpenSearchServer, tmp_path: Path
) -> None:
    index = f"products-{uuid.uuid4().hex}"
    settings = {"SOUK_SEARCH": f"{opensearch.url.replace('http', 'opensearch')}?index={index}"}
    with embedded(tmp_path, settings=settings) as system:
        shop = Shop(system, opensearch.url, index)
        shop.eventually("headphnes", (["P-123"], "opensearch"))
        until(lambda: "the search index was built" in system.output(), LIMIT, "the index is built")
        shop.close()
        system.stop()
    make_mapping_wrong(shop, tmp_path / "data" / "product.db")
    with embedded(tmp_path, settings=settings) as system:
        shop = Shop(system, opensearch.url, index)
        shop.add("P-fits", "Samovar", price=100)
        found = f"/{index}/_doc/P-fits"
        until(lambda: shop.ask("GET", found).is_success, LIMIT, "what fits is indexed")
        shop.add("P-not", "Samovar", price=1_000)
        until(lambda: "product P-not" in system.log, LIMIT, "what does not fit is parked")
        shop.close()
        system.stop()
        shown = parked(system)
    assert "the search engine refuses product P-not" in shown
    assert "byte" in shown
    assert "product P-fits" not in shown


def make_mapping_wrong(shop: Shop, database: Path) -> None:
    """Puts an index with another mapping into the place of the one that has had every change."""
    (right,) = shop.ask("GET", f"/_alias/{shop.index}").json()
    wrong = f"{shop.index}-wrong"
    mapping = {"mappings": {"properties": {"price": {"type": "byte"}}}, "aliases": {shop.index: {}}}
    shop.ask("DELETE", f"/{right}").raise_for_status()
    shop.ask("PUT", f"/{wrong}", mapping).raise_for_status()
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute("UPDATE followed_indices SET name = ?", (wrong,)).rowcount == 1


def parked(system: System) -> str:
    command = (sys.executable, "-m", "souk.cli", "parked", "--data", str(system.data), "--json")
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
