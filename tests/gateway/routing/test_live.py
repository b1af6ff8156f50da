"""The routes file of a running gateway: read again when it changes, and refused whole when it is wrong."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from souk.gateway.routing.live import LiveRoutes
from souk.gateway.routing.model import Finding, RoutesFile, RoutesFileRefused

OLD, NEW, WRONG = "routes: {/a: http://old:1}\n", "routes: {/a: http://new:1}\n", "routes: {/a: nowhere}\n"


class InForce:
    """Takes the files that are put into force; `wait` waits for the upstream of the newest."""

    def __init__(self) -> None:
        self.upstreams: list[str] = []
        self.refuses = False

    async def __call__(self, file: RoutesFile) -> None:
        if self.refuses:
            raise RoutesFileRefused(file.path, [Finding(1, 1, "does not fit")])
        self.upstreams.append(file.upstreams[0].name)

    async def wait(self, upstream: str) -> None:
        async with asyncio.timeout(30):
            while not self.upstreams or self.upstreams[-1] != upstream:
                await asyncio.sleep(0.01)  # the file system signals nothing


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(OLD)
    return path


@pytest.fixture(name="registry")
def _registry() -> CollectorRegistry:
    return CollectorRegistry()


@asynccontextmanager
async def watched(live: LiveRoutes) -> AsyncIterator[None]:
    task = asyncio.create_task(live.watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def loads(registry: CollectorRegistry) -> dict[str, float | None]:
    values = {name: registry.get_sample_value("souk_gateway_routes_loads_total", {"result": name})
              for name in ("loaded", "refused")}  # fmt: skip
    return {**values, "wrong": registry.get_sample_value("souk_gateway_routes_refused")}


async def test_a_wrong_file_at_the_start_is_an_error(path: Path, registry: CollectorRegistry) -> None:
    path.write_text(WRONG)
    with pytest.raises(RoutesFileRefused, match="there is no upstream 'nowhere'"):
        await LiveRoutes(path, InForce(), registry).start()


async def test_a_wrong_file_leaves_the_old_one_in_force(path: Path, registry: CollectorRegistry) -> None:
    in_force = InForce()
    live = LiveRoutes(path, in_force, registry)
    await live.start()
    path.write_text(WRONG)
    with pytest.raises(RoutesFileRefused):
        await live.reload("a test")
    in_force.refuses = True
    path.write_text(NEW)
    with pytest.raises(RoutesFileRefused):
        await live.reload("a test")
    assert (in_force.upstreams, loads(registry)) == (["http://old:1"], {"loaded": 1, "refused": 2, "wrong": 1})
    in_force.refuses = False
    await live.reload("a test")
    assert (in_force.upstreams[-1], loads(registry)) == ("http://new:1", {"loaded": 2, "refused": 2, "wrong": 0})


def written(path: Path, text: str) -> None:
    path.write_text(text)


def replaced(path: Path, text: str) -> None:
    """As editors do."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.rename(path)


@pytest.mark.parametrize("write", [written, replaced])
async def test_a_changed_file_is_read(
    path: Path, registry: CollectorRegistry, write: Callable[[Path, str], None]
) -> None:
    in_force = InForce()
    live = LiveRoutes(path, in_force, registry)
    await live.start()
    async with watched(live):
        write(path, NEW)
        await in_force.wait("http://new:1")
        path.unlink()
        write(path, OLD)
        await in_force.wait("http://old:1")


async def test_a_link_that_kubernetes_moves_is_followed(tmp_path: Path, registry: CollectorRegistry) -> None:
    for name, text in (("one", OLD), ("two", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routes.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("one")
    path = tmp_path / "routes.yaml"
    path.symlink_to("..data/routes.yaml")
    in_force = InForce()
    live = LiveRoutes(path, in_force, registry)
    await live.start()
    async with watched(live):
        (tmp_path / "..tmp").symlink_to("two")
        os.rename(tmp_path / "..tmp", tmp_path / "..data")
        await in_force.wait("http://new:1")


async def test_a_wrong_change_is_read_again_once_it_is_mended(path: Path, registry: CollectorRegistry) -> None:
    in_force = InForce()
    live = LiveRoutes(path, in_force, registry)
    await live.start()
    async with watched(live):
        path.write_text(WRONG)
        async with asyncio.timeout(30):
            while loads(registry)["wrong"] == 0:
                await asyncio.sleep(0.01)
        assert in_force.upstreams == ["http://old:1"]
        path.write_text(NEW)
        await in_force.wait("http://new:1")


async def test_it_is_read_when_a_signal_asks_for_it_changed_or_not(path: Path, registry: CollectorRegistry) -> None:
    in_force = InForce()
    live = LiveRoutes(path, in_force, registry)
    await live.start()
    async with watched(live):
        live.ask()
        async with asyncio.timeout(30):
            while len(in_force.upstreams) < 2:
                await asyncio.sleep(0.01)
    assert loads(registry)["loaded"] == 2


async def test_a_file_that_is_still_being_written_is_left_alone(path: Path, registry: CollectorRegistry) -> None:
    in_force, looks, loads_before_each = InForce(), [1, 2, 3, 4, 4], list[int]()

    def look(path: Path) -> tuple[int, int, int]:
        loads_before_each.append(len(in_force.upstreams))
        return (looks.pop(0) if len(looks) > 1 else looks[0], 0, 0)

    live = LiveRoutes(path, in_force, registry, look)
    await live.start()
    path.write_text(NEW)
    async with watched(live):
        await in_force.wait("http://new:1")
    assert loads_before_each[:5] == [0, 1, 1, 1, 1]
