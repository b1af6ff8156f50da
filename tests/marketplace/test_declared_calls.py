"""Each service declares whom it calls: no less, as the platform would refuse, and no more, as that would be allowed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.app.app import app
from souk.descriptors.contract import ANY_SERVICE, contract_of
from souk.runtime.service import Service

ROOT = Path(__file__).resolve().parents[2] / "marketplace"
SERVICES = {service.name: service for service in app.services}


def is_channel(node: ast.expr) -> bool:
    """Whether an expression is the function that gives channels, by the names that services give it."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.removeprefix("_") == "channel"


def channels_in(text: str) -> Iterator[str]:
    """Gives the services to which code opens channels: `channel("user")`, or `partial(context.channel, "user")`."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        arguments = (
            node.args if is_channel(node.func) else node.args[1:] if node.args[:1] and is_channel(node.args[0]) else []
        )
        yield from (one.value for one in arguments[:1] if isinstance(one, ast.Constant) and isinstance(one.value, str))


@pytest.mark.parametrize("service", app.services, ids=lambda service: service.name)
def test_a_service_declares_exactly_the_channels_that_it_opens(service: Service) -> None:
    opened = {name for path in (ROOT / service.name).rglob("*.py") for name in channels_in(path.read_text())}
    assert set(service.calls) == opened


def test_it_finds_channels_however_they_are_opened() -> None:
    found = set(channels_in("a(context.channel('b'))\nc(partial(context.channel, 'd'))\nself._channel('e')"))
    assert found == {"b", "d", "e"}


def test_whom_a_contract_names_as_a_caller_declares_the_call() -> None:
    named = {
        (caller, service.name)
        for service in app.services
        for method in contract_of(service.contract).methods.values()
        for caller in method.policy.callers - {ANY_SERVICE, "gateway"}
    }
    assert ("order", "payment") in named
    assert [pair for pair in sorted(named) if pair[1] not in SERVICES[pair[0]].calls] == []
