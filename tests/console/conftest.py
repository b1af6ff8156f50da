"""The pages of the console over a control socket with real servicers behind it, and what they show as HTML."""

import html
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from soukapi.v1 import sagas_pb2

from souk.admin.servicers.sagas import ProcessSagas
from souk.admin.unix_socket import serving
from souk.console.assets import Assets
from souk.console.control import ControlSocket
from souk.console.opening import PACKAGE, asset_folders, platform_pages
from souk.console.page import Operator, PageRequest, ShownPage
from souk.console.rendering import Templates
from souk.kernel.clock import SystemClock
from souk.runtime.data.layout import DataLayout
from souk.testing.saga_suite import Shop

SAGAS = sagas_pb2.DESCRIPTOR.services_by_name["Sagas"]
ADMIN = Operator("U-admin", "U-admin/1", "1.proof")


class Pages:
    """Shows pages as an operator sees them."""

    def __init__(self, data: Path) -> None:
        self.pages = platform_pages(ControlSocket(data))
        self.templates = Templates("Test", Assets("/a", *asset_folders()), self.pages, [PACKAGE])

    async def ask(self, path: str, form: dict[str, Sequence[str]] | None = None, **query: str) -> ShownPage:
        """Shows a page, or sends its form."""
        page, values = next((one, found) for one in self.pages if (found := one.match(path)) is not None)
        given = {name: [value] for name, value in query.items()}
        asked = PageRequest(f"/console/{path}", values, given, ADMIN, SystemClock().now(), form or {})
        if form is None:
            return await page.show(asked)
        assert page.act is not None
        return await page.act(asked)

    def html(self, shown: ShownPage) -> str:
        """Fills the template of a page."""
        values = {**shown.values, "title": shown.title, "notice": shown.notice, "failed": shown.failed}
        about = {"operator": ADMIN, "here": "/console/x", "now": SystemClock().now()}
        return self.templates.render(shown.template, values | about).decode()

    def text(self, shown: ShownPage) -> str:
        """Gives what a reader sees of a page."""
        return html.unescape(" ".join(re.sub("<[^>]*>", " ", self.html(shown)).split()))


@asynccontextmanager
async def served(data: Path, shop: Shop) -> AsyncIterator[Pages]:
    """Serves the sagas of a shop on the control socket of a data directory."""
    layout = DataLayout(data)
    layout.prepare_run()
    async with serving(layout.control, {SAGAS: ProcessSagas({"order": shop.database})}, SystemClock()):
        yield Pages(data)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = await Shop.open(tmp_path)
    yield shop
    await shop.close()


@pytest.fixture
async def pages(tmp_path: Path, shop: Shop) -> AsyncIterator[Pages]:
    async with served(tmp_path, shop) as pages:
        yield pages
