"""Applications of Django and of Starlette alone are adopted as they are; that of FastAPI has tests of its own."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

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
from starlette.routing import Route

async def me(request):
    sent = (await request.body()).decode()
    user = request.headers.get("x-souk-user-id", "")
    return JSONResponse({"user": user, "link": request.url_for("me").path, "sent": sent})

async def parts(request):
    async def body():
        for part in ("one ", "two"):
            yield part
    return StreamingResponse(body())

app = Starlette(routes=[Route("/me", me, methods=["GET", "POST"]), Route("/parts", parts)])
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
