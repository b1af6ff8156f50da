"""A shop that is set up once, and copied for each case of a crash."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from souk.testing.lives import Nursery, nursery
from tests.market.api import log_in

APP = "marketplace.app.app"
MEMORY = Path("/dev/shm")
ROOM = 1 << 30
"""Bytes that must be free there."""
CARDS = ("tok_declined", "tok_slow", "tok_error", "tok_timeout")


@dataclass(frozen=True)
class Template:
    """A data directory with demo data, and the demo user's saved cards by sandbox token."""

    folder: Path
    methods: dict[str, str]


@pytest.fixture(scope="session")
def born() -> Nursery:
    """Makes processes of the marketplace that can be killed at a fault point."""
    return nursery(APP)


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory if there is room for one: what a killed process wrote is there as it is on a disk, and a life
    spends most of its time in waiting for a disk."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield tmp_path_factory.mktemp("crash")
        return
    folder = Path(tempfile.mkdtemp(prefix="souk-crash-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(born: Nursery, memory: Path) -> Template:
    """A shop with demo data that was stopped in good order."""
    data = memory / "template" / "data"
    data.parent.mkdir()
    methods = {"tok_visa": "card", "wallet": "wallet"}
    with born.life(data, demo=True) as life, log_in(life.url, "demo@souk.test", "demo-password") as demo:
        for card in CARDS:
            saved = demo.ok("POST", "/api/v1/payment-methods", 201, json={"cardToken": card})
            methods[card] = saved["id"]
        demo.close()
        assert life.stop() == 0, life.output()
    return Template(data, methods)


@pytest.fixture
def copied(template: Template, memory: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a copy of the template under a name."""
    folder = memory / "test"

    def copy(name: str) -> Path:
        return Path(shutil.copytree(template.folder, folder / name))

    yield copy
    shutil.rmtree(folder, ignore_errors=True)
