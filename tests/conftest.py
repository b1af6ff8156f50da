"""Hooks and fixtures for all tests."""

import gc
import io
import logging
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from souk.telemetry import logs
from souk.testing.postgres import migrated_url, postgres_server, postgres_url  # noqa: F401 - fixtures that all share
from tests.properties import register_profiles
from tests.scheduling import NeighbourScheduling, groups_first

register_profiles()

# A client that says nothing gives up after 5 s, and a busy machine may stall for that long.
for _kind in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, _kind, 60.0)

# Where nothing sets up logging, rich would draw tracebacks with all their variables: seconds of work on a slow machine.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback

# The suites are in souk.testing; pytest rewrites their assertions as it does those of tests.
pytest.register_assert_rewrite(
    "souk.testing.brokers.faults_suite",
    "souk.testing.brokers.harness",
    "souk.testing.brokers.suite",
    "souk.testing.engines",
    "souk.testing.registry.engines",
    "souk.testing.registry.harness",
    "souk.testing.registry.suite",
    "souk.testing.registry.lease_suite",
    "souk.testing.registry.away_suite",
    "souk.testing.registry.claims_suite",
    "souk.testing.servers.engine_server",
    "souk.testing.servers.java",
    "souk.testing.servers.kafka",
)


def pytest_configure() -> None:
    """Lets processes that tests start receive SIGINT, which a shell turns off for commands in the background, and
    SIGHUP, which nohup(1) turns off; the tests themselves still outlive a hang-up then. Collects no garbage until all
    tests are collected."""
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets `--dist loadgroup` see the groups, and puts them first.

    pytest-xdist 3.8 writes a test's group into an attribute that pytest 9.2 no longer takes the test's id
    from, so that every worker would start every shared system. A newer xdist has no such attribute.
    """
    for item in items:
        if (named := getattr(item, "_nodeid", "")) and named != item.nodeid:
            item._id = type(item.id).parse(named)
    groups_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> NeighbourScheduling | None:
    """Makes the scheduler of `--dist loadgroup`."""
    return NeighbourScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_finish() -> None:
    """Exempts what collecting has made, and what lives until the end, from garbage collection."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _leaks_are_blamed_on_their_module() -> Iterator[None]:
    """Fails a module's last test, and not one of a later module, for what its tests have left unclosed."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _logging_is_as_it_was() -> Iterator[None]:
    """Restores the configuration of logging that a test has changed, before another one reads what it logs."""
    root, configured, config = logging.getLogger(), structlog.is_configured(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured() != configured or structlog.get_config() != config:
        structlog.configure(**config) if configured else structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def written() -> io.StringIO:
    """Gives what is logged, in the format of a service's process."""
    stream = io.StringIO()
    logs.configure(logs.LogSettings(), stream)
    return stream


@pytest.fixture(scope="session")
def tiny() -> Mapping[str, str]:
    """Settings with which `souk` finds a system of one service, as an installed one is found: by its entry point."""
    return {"PYTHONPATH": str(Path(__file__).parent / "tiny"), "SOUK_APP": "tiny"}
