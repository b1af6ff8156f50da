"""The engines behind TLS and a login: who is trusted, and what is said of who is not."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from marketplace.product.adapters.search.by_url import open_engine
from marketplace.product.adapters.search.engine import Engine
from marketplace.product.ports import SearchUnavailable
from souk.kernel.errors import ConfigurationError
from souk.testing.certificates import Authority
from souk.testing.servers.elasticsearch import ElasticsearchServer
from souk.testing.servers.engine_server import EngineServer
from souk.testing.servers.opensearch import OpenSearchServer
from tests.engines.search.secured_proxy import PASSWORD, USER, secured
from tests.engines.search.suite import build, ids, product

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("patient_searches")]
SERVERS: dict[str, type[OpenSearchServer] | type[ElasticsearchServer]] = {
    "opensearch": OpenSearchServer,
    "elasticsearch": ElasticsearchServer,
}
Open = Callable[..., Engine]


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SERVERS], scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def opened(server: EngineServer, authority: Authority, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the engine by its secured address, with a password, and an authority that is trusted."""
    assert isinstance(server, OpenSearchServer | ElasticsearchServer)
    await server.start()
    index, engines = f"products-{uuid.uuid4().hex}", list[Engine]()
    analysis = "&analysis=plain" if server.name == "elasticsearch" else ""
    async with secured(server.url, *authority.issue("engine")) as port:

        def open_it(password: str = PASSWORD, ca: Path | None = None) -> Engine:
            login = f"{quote(USER, safe='')}:{quote(password, safe='')}"
            trust = "" if ca is None else f"&ca={ca}"
            engines.append(open_engine(f"{server.name}s://{login}@127.0.0.1:{port}?index={index}{analysis}{trust}"))
            return engines[-1]

        yield open_it
        for engine in engines:
            await engine.close()


async def reason_of(engine: Engine) -> tuple[str, str]:
    with pytest.raises(SearchUnavailable) as caught:
        await engine.live()
    return caught.value.reason, str(caught.value)


async def test_an_engine_with_a_certificate_and_a_login_is_used(opened: Open, authority: Authority) -> None:
    engine = opened(ca=authority.ca)
    await build(engine, [product("a", "Samovar")])
    assert await ids(engine, "samovar") == ["a"]


async def test_the_authority_may_be_that_of_the_system(
    opened: Open, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    assert await opened().live() is None


async def test_a_certificate_that_is_not_trusted_is_refused(opened: Open, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    for engine in (opened(), opened(ca=stranger.ca)):
        reason, text = await reason_of(engine)
        assert reason == "unreachable"
        assert "the certificate of the search engine is not trusted: " in text
        assert PASSWORD not in text


async def test_a_wrong_password_is_refused(opened: Open, authority: Authority) -> None:
    reason, text = await reason_of(opened(password="wrong", ca=authority.ca))
    assert reason == "refused"
    assert "missing authentication credentials" in text


async def test_a_file_that_has_no_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for url in (
        f"opensearchs://host?ca={tmp_path}/none.pem",
        f"opensearchs://host?ca={tmp_path}/empty.pem",
        f"opensearch://host?ca={tmp_path}/empty.pem",
    ):
        with pytest.raises(ConfigurationError, match="SOUK_SEARCH: ca="):
            open_engine(url)
