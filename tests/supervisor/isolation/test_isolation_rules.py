"""Who is isolated in a mesh, and why others are not; namespaces that end with their processes."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from errno import EPERM
from pathlib import Path

import pytest
from soukapi.v1 import event_pb2, fleet_pb2

from souk.admin.documents import isolation_lines, process_document
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import read
from souk.runtime.config.settings import Settings
from souk.runtime.service import Service, ServiceContext, ServiceParts, Setting
from souk.supervisor.isolation.destinations import Destination
from souk.supervisor.isolation.network_namespace import new_namespace
from souk.supervisor.isolation.rules import SIDECAR_PORT, FilesCheck, Isolation, IsolationRules, isolation_rules

SYS_ADMIN = 21
"""CAP_SYS_ADMIN."""
SOCKET = "unix:/data/run/registry.sock"


async def build(host: ServiceContext) -> ServiceParts:
    return ServiceParts(servicer=object())


def service(name: str, *reaches: str) -> Service:
    contract = event_pb2.DESCRIPTOR.services_by_name["EventSink"]
    settings = tuple(Setting(one, "A system outside.", "none", "URL") for one in reaches)
    return Service(name, contract, build, settings=settings, reaches=reaches)


SERVICES = (service("mails", "smtp"), service("orders"))


def rules(settings: Settings, registry: str = SOCKET, why_no_files: str = "") -> IsolationRules:
    return isolation_rules(
        SERVICES,
        settings,
        registry,
        make=lambda: os.open("/dev/null", os.O_RDONLY),
        check_files=lambda files: why_no_files if files else "",
    )


def test_all_are_isolated_where_everything_is_at_sockets() -> None:
    decided = rules(read({}))
    assert {decided.of(name, {}) for name in ("mails", "orders", GATEWAY_SERVICE)} == {Isolation()}


@pytest.mark.parametrize(
    ("variables", "registry", "reason"),
    [
        ({}, "consul://127.0.0.1:8500", "the registry"),
        ({"SOUK_POSTGRES": "postgresql://db.example/shop"}, SOCKET, "PostgreSQL"),
        ({"SOUK_REDIS": "redis://127.0.0.1:6379"}, SOCKET, "Redis"),
        ({"SOUK_METRICS_PORT": "0"}, SOCKET, "SOUK_METRICS_PORT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://0.0.0.0:4318"}, SOCKET, "an exporter of traces"),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "nowhere"}, SOCKET, "an exporter of traces or logs"),
    ],
)
def test_nobody_is_where_something_is_at_a_port(variables: Mapping[str, str], registry: str, reason: str) -> None:
    decided = rules(read(variables), registry)
    assert reason in decided.of("orders", {}).why_not
    assert decided.of("orders", {}) == decided.of(GATEWAY_SERVICE, {})


def test_nobody_is_where_the_machine_does_not_allow_it() -> None:
    def refused() -> int:
        raise OSError(EPERM, os.strerror(EPERM))

    decided = isolation_rules(SERVICES, read({}), SOCKET, make=refused)
    assert decided.of("orders", {}).why_not == (
        "this user may not make network namespaces (operation not permitted); it needs CAP_SYS_ADMIN, as root has it"
    )


def test_who_calls_something_outside_gets_a_way_out_to_it_alone() -> None:
    decided = rules(Settings(services={"mails": {"smtp": "smtps://user:password@mail.example"}}))
    assert decided.of("mails", {}) == Isolation("", (Destination("mail.example", 465),))
    assert decided.of("orders", {}) == Isolation()
    assert "password" not in repr(decided)
    assert rules(Settings(services={"mails": {"smtp": "unix:/a/mail.sock"}})).of("mails", {}) == Isolation()


def test_everybody_gets_a_way_out_to_where_telemetry_goes() -> None:
    variables = {
        "OTEL_TRACES_EXPORTER": "otlp,zipkin",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "logs.example:4317",
    }
    receivers = (
        Destination("collector.example", 443),
        Destination("localhost", 9411),
        Destination("logs.example", 4317),
    )
    decided = rules(read(variables))
    assert decided.of("orders", {}) == decided.of(GATEWAY_SERVICE, {}) == Isolation("", receivers)
    found = decided.of("mails", {"SOUK_MAILS_SMTP": "smtp://mail.example"})
    assert found == Isolation("", (receivers[0], *receivers[1:], Destination("mail.example", 25)))


def test_who_calls_what_is_unknown_is_not_isolated() -> None:
    settings = read({"SOUK_MESH_OUTSIDE": "orders", "SOUK_ISSUERS": "issuers.toml"})
    given = {"mails": {"smtp": "a private key"}}
    decided = rules(Settings(fleet=settings.fleet, http=settings.http, services=given))
    assert decided.of("mails", {}).why_not == "it calls what SOUK_MAILS_SMTP names"
    assert decided.of("orders", {}).why_not == "SOUK_MESH_OUTSIDE names it"
    assert decided.of(GATEWAY_SERVICE, {}).why_not == "it calls what SOUK_ISSUERS names"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_port_of_a_sidecar_is_no_way_out(host: str) -> None:
    decided = rules(Settings(services={"mails": {"smtp": f"smtp://{host}:{SIDECAR_PORT}"}}))
    assert decided.of("mails", {}).why_not == "it calls what SOUK_MAILS_SMTP names"


def test_who_cannot_resolve_names_is_not_isolated() -> None:
    def decided(url: str) -> Isolation:
        return rules(Settings(services={"mails": {"smtp": url}}), why_no_files="no mounts").of("mails", {})

    assert decided("smtp://mail.example") == Isolation("no mounts")
    assert decided("smtp://192.0.2.7") == Isolation("", (Destination("192.0.2.7", 25),))


def test_why_files_cannot_be_given_is_known_from_a_try() -> None:
    check = FilesCheck()
    assert check({}) == ""
    assert check({"/does/not/exist": ""}).startswith("names of hosts cannot be resolved in it: ")


def test_a_version_that_calls_something_else_gets_a_way_out_to_that() -> None:
    decided = rules(Settings(services={"mails": {"smtp": "smtp://mail.example"}}))
    assert decided.of("mails", {"SOUK_MAILS_SMTP": "smtp://m:26"}).destinations == (Destination("m", 26),)
    assert decided.of("mails", {"SOUK_MAILS_SMTP": "?"}).why_not == "it calls what SOUK_MAILS_SMTP names"
    assert decided.of("mails", {"SOUK_MAILS_RATE": "1"}).destinations == (Destination("mail.example", 25),)


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no service 'order' .* nearest is 'orders'"):
        rules(read({"SOUK_MESH_OUTSIDE": "order"}))


def test_operators_see_it() -> None:
    kind = fleet_pb2.PROCESS_KIND_SERVICE
    one = fleet_pb2.FleetProcess(instance="orders-1", kind=kind, isolated=True)
    other = fleet_pb2.FleetProcess(instance="mails-1", kind=kind, not_isolated="it mails")
    engine = fleet_pb2.FleetProcess(instance="postgres", kind=fleet_pb2.PROCESS_KIND_ENGINE)
    assert isolation_lines([engine]) == []
    assert isolation_lines([engine, one]) == ["isolation: network namespaces"]
    assert isolation_lines([engine, other]) == ["isolation: none: it mails"]
    assert isolation_lines([one, other]) == ["isolation: network namespaces", "isolation: none for mails-1: it mails"]
    sends = fleet_pb2.FleetProcess(
        instance="mails-2", kind=kind, isolated=True, egress=["mail.example:25", "[::1]:4318"]
    )
    assert isolation_lines([one, sends]) == [
        "isolation: network namespaces",
        "egress of mails-2: mail.example:25, [::1]:4318",
    ]
    assert process_document(sends)["egress"] == ["mail.example:25", "[::1]:4318"]
    documents = [process_document(process) for process in (engine, one, other)]
    assert [(each["isolation"], each["not_isolated"]) for each in documents] == [
        (None, ""),
        ("network namespace", ""),
        ("none", "it mails"),
    ]


LAUNCH = """
import os, subprocess, sys
from souk.runtime.process.launcher import tied
from souk.supervisor.isolation.destinations import Destination
from souk.supervisor.isolation.network_namespace import new_namespace
namespace = new_namespace()
program = (
    "import socket\\n"
    "with socket.create_server(('127.0.0.1', 0)) as own:\\n"
    "    socket.create_connection(own.getsockname()).close()\\n"
    "    print(own.getsockname()[1], flush=True)\\n"
    "    own.accept()\\n"
    "    own.accept()\\n"
)
words = (*tied(None, 9, namespace), sys.executable, "-c", program)
child = subprocess.Popen(words, pass_fds=(namespace,), stdout=subprocess.PIPE)
print(child.pid, os.fstat(namespace).st_ino, child.stdout.readline().decode().strip(), flush=True)
child.wait()
"""


@pytest.fixture
def namespace_allowed() -> None:
    try:
        os.close(new_namespace())
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error.strerror}")


@pytest.fixture
def launched(namespace_allowed: None) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has made a namespace, and started another in it."""
    with subprocess.Popen([sys.executable, "-c", LAUNCH], stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_namespace_has_a_loopback_of_its_own_and_ends_with_its_processes(
    launched: "subprocess.Popen[bytes]",
) -> None:
    assert launched.stdout is not None
    child, namespace, port = map(int, launched.stdout.readline().split())
    assert os.stat(f"/proc/{child}/ns/net").st_ino == namespace != os.stat("/proc/self/ns/net").st_ino
    assert interfaces(child) == ["lo"]
    assert not may_enter_others(child)
    with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
        outside.connect(("127.0.0.1", port))
    launched.kill()
    launched.wait()
    while namespace in namespaces():
        pass


def interfaces(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    return [line.split(":")[0].strip() for line in lines]


def may_enter_others(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) & 1 << SYS_ADMIN for line in lines if line.startswith("Cap"))


def namespaces() -> set[int]:
    """Gives the network namespaces in which there is any process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(path.stat().st_ino)
        except OSError:
            continue  # it has ended
    return found
