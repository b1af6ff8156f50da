"""Services whose processes are started by words of the operator's."""

import sys
from pathlib import Path

import pytest
from soukapi.v1 import event_pb2

from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import read
from souk.runtime.service import Service, ServiceContext, ServiceParts, Subscription
from souk.supervisor.launch import LaunchCommands, called_with_events, fitting


async def build(host: ServiceContext) -> ServiceParts:
    return ServiceParts(servicer=object())


MAILS = Service("mails", event_pb2.DESCRIPTOR.services_by_name["EventSink"], build)


def test_words_are_split_as_in_a_shell() -> None:
    settings = read({"SOUK_COMMANDS": "mails=node 'my mails/main.js' --fast, order=./order"})
    assert settings.fleet.commands == {"mails": ("node", "my mails/main.js", "--fast"), "order": ("./order",)}


@pytest.mark.parametrize("text", ["mails", "mails=", "mails=' '", "mails='a", "mails=a,mails=b", "=a"])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SOUK_COMMANDS"):
        read({"SOUK_COMMANDS": text})


def test_a_service_that_has_one_is_started_by_it_where_the_operator_is() -> None:
    commands = LaunchCommands({"mails": ("node", "main.js")}, Path("/here"))
    command = commands.of("mails", {"SOUK_INSTANCE": "mails-1"}, 7)
    assert (command.words, command.folder, command.descriptors) == (("node", "main.js"), Path("/here"), ())
    assert command.environment == {"SOUK_INSTANCE": "mails-1"}


def test_others_are_ours() -> None:
    command = LaunchCommands({"mails": ("node",)}, Path("/here")).of("gateway", {}, 7)
    assert command.words == (sys.executable, "-m", "souk.cli", "serve", "gateway")
    assert command.descriptors == (7,)


def test_a_service_that_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"no service 'mail' .* nearest is 'mails'"):
        fitting({"mail": (sys.executable,)}, [MAILS], {})


def test_a_program_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no program 'nod', which is to be 'mails'"):
        fitting({"mails": ("nod", "main.js")}, [MAILS], {"PATH": str(tmp_path)})
    assert fitting({"mails": (sys.executable,)}, [MAILS], {"PATH": str(tmp_path)}).folder == Path.cwd()


def test_what_a_service_in_another_language_subscribes_to_is_named_for_all_processes() -> None:
    """So that it is called with its events also where the others get theirs from a broker."""
    contract = event_pb2.DESCRIPTOR.services_by_name["EventSink"]
    ours = Service("ours", contract, build, subscriptions=(Subscription("all", ("a.v1.A",)),))
    mails = Service("mails", contract, build, subscriptions=(Subscription("all", ("a.v1.A", "a.v1.B")),))
    given = {"SOUK_COMMANDS": "mails=node main.js", "SOUK_SUBSCRIPTIONS": "far/all=b.v1.A,mails/all=b.v1.B"}
    assert called_with_events([ours, mails], read({})) == ""
    named = called_with_events([ours, mails], read(given))
    assert read({"SOUK_SUBSCRIPTIONS": named}).calls.discovery.subscriptions == {
        "far/all": ("b.v1.A",),
        "mails/all": ("b.v1.B", "a.v1.A", "a.v1.B"),
    }
