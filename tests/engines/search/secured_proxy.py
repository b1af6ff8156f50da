"""A server in front of a search engine that wants TLS and a login, as the engines' own security does."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from aiohttp import ClientSession, web

from souk.testing.free_ports import free_port

USER, PASSWORD = "souk", "p@ss/word:1"
_REFUSAL = {"error": {"type": "security_exception", "reason": "missing authentication credentials"}, "status": 401}


@asynccontextmanager
async def secured(engine: str, certificate: Path, key: Path) -> AsyncIterator[int]:
    """Serves the engine at the URL `engine` on loopback, with TLS and a login; gives the port."""
    login = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
    tls = SSLContext(PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def forward(request: web.Request) -> web.Response:
        if request.headers.get("authorization") != login:
            return web.json_response(_REFUSAL, status=401)
        kept = {name: text for name, text in request.headers.items() if name.lower() in ("accept", "content-type")}
        url, body = f"{engine}{request.raw_path}", await request.read()
        async with session.request(request.method, url, data=body, headers=kept) as answer:
            shown = {
                name: answer.headers[name] for name in ("content-type", "x-elastic-product") if name in answer.headers
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=shown)

    app, port = web.Application(client_max_size=2**30), free_port()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app)
    async with ClientSession() as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
            yield port
        finally:
            await runner.cleanup()
