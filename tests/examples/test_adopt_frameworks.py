"""Applications of Django and of Starlette alone are adopted as they are; that of FastAPI has tests of its own."""

import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError

from souk.testing.system import System, embedded
from tests.examples.test_adopt_fastapi import adopted, is_there
from tests.market.api import log_in

DJANGO = """
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import path, reverse

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="for a test")

def me(request):
    user = request.headers.get("X-Souk-User-Id", "")
    return JsonResponse({"user": user, "link": reverse("me"), "sent": request.body.decode()})

async def parts(request):
    async def body():
        for part in ("one ", "two"):
            yield part
    return StreamingHttpResponse(body())

urlpatterns = [path("me", me, name="me"), path("parts", parts)]
app = get_asgi_application()
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

async def me(request):
    sent = (await request.body()).decode()
    user = request.headers.get("x-souk-user-id", "")
    return JSONResponse({"user": user, "link": request.url_for("me").path, "sent": sent})

async def parts(request):
    async def body():
        for part in ("one ", "two"):
            yield part
    return StreamingResponse(body())

async def talk(socket):
    if "refuse" in socket.query_params:
        await socket.close()
        return
    await socket.accept(subprotocol="chat")
    user = socket.headers.get("x-souk-user-id", "")
    await socket.send_json([user, socket.scope["root_path"], socket.client.host, socket.url.scheme])
    async for text in socket.iter_text():
        if text == "fail":
            raise ValueError("as it was told")
        await socket.send_text(text)

routes = [Route("/me", me, methods=["GET", "POST"]), Route("/parts", parts), WebSocketRoute("/talk", talk)]
app = Starlette(routes=routes)
"""
APPLICATIONS = {"django": DJANGO, "starlette": STARLETTE}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with embedded(tmp_path_factory.mktemp("frameworks")) as system:
        yield system


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_adopted_as_it_is(shop: System, tmp_path: Path, name: str) -> None:
    (tmp_path / f"of_{name}.py").write_text(textwrap.dedent(APPLICATIONS[name]))
    with adopted(shop, tmp_path, "--name", name, application=f"of_{name}:app", path=tmp_path):
        is_there(f"{shop.url}/{name}/me")
        with log_in(shop.url, "demo@souk.test", "demo-password") as buyer:
            answer = buyer.post(f"/{name}/me", content="hello").json()
        assert answer == {"user": answer["user"], "link": f"/{name}/me", "sent": "hello"}
        assert answer["user"]
        assert httpx.get(f"{shop.url}/{name}/parts").text == "one two"
        assert httpx.get(f"{shop.url}/{name}/none").status_code == 404


async def test_websockets_reach_an_application(shop: System, tmp_path: Path) -> None:
    (tmp_path / "of_sockets.py").write_text(textwrap.dedent(STARLETTE))
    arguments = ("--name", "sockets", "--metrics-port", "0")
    with adopted(shop, tmp_path, *arguments, application="of_sockets:app", path=tmp_path) as process:
        is_there(f"{shop.url}/sockets/me")
        with log_in(shop.url, "demo@souk.test", "demo-password") as buyer:
            token, user = buyer.headers["authorization"], buyer.get("/sockets/me").json()["user"]
        talk, forged = f"{shop.url}/sockets/talk", {"x-souk-user-id": "U-1", "authorization": token}
        async with ClientSession() as session:
            async with session.ws_connect(talk, headers=forged, protocols=("chat",)) as socket:
                assert socket.protocol == "chat"
                assert await socket.receive_json() == [user, "/sockets", "127.0.0.1", "ws"]
                for text in ("one", "x" * 200_000):
                    await socket.send_str(text)
                    assert await socket.receive_str() == text
                await socket.send_str("fail")
                assert ((await socket.receive()).type, socket.close_code) == (WSMsgType.CLOSE, 1011)
            with pytest.raises(WSServerHandshakeError) as refused:
                await session.ws_connect(f"{talk}?refuse")
            assert refused.value.status == 403
            async with session.ws_connect(talk) as socket:
                assert (await socket.receive_json())[0] == ""
                process.send(signal.SIGINT)
                assert ((await socket.receive()).type, socket.close_code) == (WSMsgType.CLOSE, 1012)
        assert process.await_end() == 0
