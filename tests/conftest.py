"""What all tests share: those of one `xdist_group` run on one worker."""

import gc
import io
import logging
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from souk.telemetry import logs
from tests.properties import register_profiles

register_profiles()


def pytest_configure() -> None:
    """Processes that tests start hear SIGINT, also where a shell started the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets `--dist loadgroup` see the groups.

    pytest-xdist 3.8 writes a test's group into an attribute that pytest 9.2 no longer takes the test's id
    from, so that every worker would start every shared system. A newer xdist has no such attribute.
    """
    for item in items:
        if (named := getattr(item, "_nodeid", "")) and named != item.nodeid:
            item._id = type(item.id).parse(named)


def pytest_collection_finish() -> None:
    """What collecting made lives until the end, and need not be looked at by each collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _leaks_are_blamed_on_their_module() -> Iterator[None]:
    """What a module's tests left unclosed fails its last test, and not one of a later module."""
    yield
    gc.collect()


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged, as the process of a service logs it; the logging of before is there again afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(logs.LogSettings(), stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def tiny() -> Mapping[str, str]:
    """Settings with which `souk` finds a system of one service, as an installed one is found: by its entry point."""
    return {"PYTHONPATH": str(Path(__file__).parent / "tiny"), "SOUK_APP": "tiny"}
