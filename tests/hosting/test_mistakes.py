"""What an author of a service gets wrong ends the start, in one line that says what to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from shop.payment.v1.payment_pb2 import PaymentRefunded
from shop.user.v1 import user_pb2
from soukapi.v1 import policy_pb2

from souk.hosting.gateway.process import gateway_process
from souk.hosting.monolith import monolith
from souk.hosting.service_process import service_process
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import read
from souk.runtime.service import App, Service, ServiceContext, ServiceParts, Subscription, TokenIssuer
from souk.supervisor.fleet import Fleet
from souk.supervisor.supervisor import supervised_fleet

Build = Callable[[ServiceContext], Any]


def contract(
    name: str = "greeting",
    paths: Mapping[str, str] | None = None,
    *,
    silent: bool = False,
    reason: str = "",
    event: str = "",
) -> ServiceDescriptor:
    """A contract with these methods, by their paths; they say who may call them, unless `silent`."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=f"shop.{name}.v1", syntax="proto3")
    file.dependency.extend(["google/protobuf/empty.proto", "google/api/annotations.proto", "soukapi/v1/policy.proto"])
    service = file.service.add(name="GreetingService")
    service.options.Extensions[policy_pb2.service].name = name
    for method, path in (paths or {"Greet": "/api/v1/greetings"}).items():
        added = service.method.add(
            name=method, input_type=".google.protobuf.Empty", output_type=".google.protobuf.Empty"
        )
        added.options.Extensions[annotations_pb2.http].get = path
        if not silent:
            added.options.Extensions[policy_pb2.policy].access = policy_pb2.ACCESS_ANYONE
        if reason:
            added.options.Extensions[policy_pb2.policy].reasons.append(reason)
    if event:
        file.message_type.add(name="Greeted").options.Extensions[policy_pb2.event].key = event
    pool = descriptor_pool.DescriptorPool()
    for known in (Empty.DESCRIPTOR.file, annotations_pb2.DESCRIPTOR, policy_pb2.DESCRIPTOR):
        copy(known, pool)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"shop.{name}.v1.GreetingService")


def copy(file: FileDescriptor, pool: descriptor_pool.DescriptorPool) -> None:
    for needed in file.dependencies:
        copy(needed, pool)
    pool.AddSerializedFile(file.serialized_pb)


class Greeter:
    async def Greet(self, request: Empty, context: Any) -> Empty:
        return Empty()

    Wave = Greet


class Users:
    """Answers every method of User's contract."""

    def __getattr__(self, name: str) -> Any:
        return Greeter().Greet


async def build(host: ServiceContext) -> ServiceParts:
    return ServiceParts(Greeter())


async def build_users(host: ServiceContext) -> ServiceParts:
    return ServiceParts(Users())


USER = Service("user", user_pb2.DESCRIPTOR.services_by_name["UserService"], build_users)


def app(*services: Service) -> App:
    return App(
        name="shop",
        services=(USER, *services),
        token_issuer=TokenIssuer(
            issuer="souk",
            audience="souk",
            keys_method="/shop.user.v1.UserService/ListSigningKeys",
            roles_method="/shop.user.v1.UserService/GetRoles",
        ),
    )


async def refusal(tmp_path: Path, *services: Service, settings: Mapping[str, Any] | None = None) -> str:
    """Starts a system of these services, which must refuse; gives the line."""
    with pytest.raises(ConfigurationError) as refused:
        async with monolith(
            app(*services), read({}, {"data": tmp_path / "data", "port": 0, **(settings or {})}), SystemClock()
        ):
            pytest.fail("it started")
    line = str(refused.value)
    assert "\n" not in line
    return line


async def test_a_sound_one_starts(tmp_path: Path) -> None:
    sound = Service("greeting", contract(), build)
    async with monolith(app(sound), read({}, {"data": tmp_path, "port": 0, "demo": True}), SystemClock()) as running:
        assert running.url


SILENT = Service("greeting", contract(silent=True), build)
MISNAMED = Service("greeter", contract(), build)
UNKNOWN_REASON = Service("greeting", contract(reason="TOO_LOUD"), build)
TWICE = Service(
    "greeting", contract(paths={"Greet": "/api/v1/greetings/{id}", "Wave": "/api/v1/greetings/{name}"}), build
)
AT_READYZ = Service("greeting", contract(paths={"Greet": "/readyz"}), build)
NO_SUCH_FIELD = Service("greeting", contract(paths={"Greet": "/api/v1/greetings/{id}"}), build)


def hears(*types: str) -> Service:
    return Service("greeting", contract(), build, subscriptions=(Subscription("hear", types),))


BY_CONTRACT = [
    (
        (hears("shop.user.v1.UserDeletd"),),
        "subscribes to shop.user.v1.UserDeletd, which nobody publishes: did it mean shop.user.v1.UserDeleted?",
    ),
    ((hears("shop.user.v1.User"),), "'greeting' subscribes to shop.user.v1.User, which nobody publishes"),
    (
        (hears(PaymentRefunded.DESCRIPTOR.full_name),),
        "shop.payment.v1.PaymentRefunded, which does not name it: add 'greeting' to the subscribers",
    ),
    (
        (replace(hears(), subscriptions=(Subscription("hear", (), after_parked=cast(Any, "stop")),)),),
        """'hear' of 'greeting' has after_parked='stop': it must be "pass" or "wait\"""",
    ),
    ((Service("greeting", contract(event="loudness"), build),), "has the key 'loudness', which names no text field"),
    ((SILENT,), "shop.greeting.v1.GreetingService.Greet has no policy"),
    ((MISNAMED,), "'greeter' serves shop.greeting.v1.GreetingService, which calls itself 'greeting'"),
    ((UNKNOWN_REASON,), "lists reasons that its service does not have: TOO_LOUD"),
    (
        (TWICE,),
        "GreetingService.Wave and shop.greeting.v1.GreetingService.Greet are both at GET /api/v1/greetings/{name}",
    ),
    ((NO_SUCH_FIELD,), "the contracts of shop make no API: google.protobuf.Empty has no field id"),
    ((AT_READYZ,), "Greet and the gateway itself are both at GET /readyz"),
    ((Service("greeting", contract(), build),) * 2, "two services are named 'greeting'"),
    (
        (Service("greeting", contract(), build), Service("echo", contract("echo"), build)),
        "shop.echo.v1.GreetingService.Greet and shop.greeting.v1.GreetingService.Greet are both at GET",
    ),
]


@pytest.mark.parametrize(("services", "line"), BY_CONTRACT, ids=lambda value: value if isinstance(value, str) else "")
async def test_contracts_that_do_not_say_what_they_must(tmp_path: Path, services: Sequence[Service], line: str) -> None:
    assert line in await refusal(tmp_path, *services)


@pytest.mark.parametrize(("services", "line"), BY_CONTRACT[2:6], ids=["hears", "waits", "event", "silent"])
async def test_a_fleet_and_a_gateway_refuse_them_too(tmp_path: Path, services: Sequence[Service], line: str) -> None:
    settings, silent = read({}, {"data": tmp_path / "data", "port": 0}), app(*services)
    nobody: Any = None
    with pytest.raises(ConfigurationError, match=line):
        async with supervised_fleet(silent, settings, {}, nobody, Fleet(), SystemClock()):
            pytest.fail("it started")
    with pytest.raises(ConfigurationError, match=line):
        async with gateway_process(silent, settings, SystemClock()):
            pytest.fail("it started")
    assert not (tmp_path / "data").exists()


async def test_a_subscription_that_only_a_setting_names(tmp_path: Path) -> None:
    settings = {"subscriptions": {"greeting/hear": ("shop.user.v1.UserDeletd",)}}
    assert "did it mean shop.user.v1.UserDeleted?" in await refusal(tmp_path, settings=settings)


async def test_a_subscription_to_an_event_of_a_service_that_is_not_known_here(tmp_path: Path) -> None:
    elsewhere = hears("billing.v1.Billed", "shop.user.v1.UserDeleted")
    async with monolith(app(elsewhere), read({}, {"data": tmp_path, "port": 0, "demo": True}), SystemClock()) as system:
        assert system.url


async def test_a_servicer_without_a_method_of_its_contract(tmp_path: Path) -> None:
    shouting = Service("greeting", contract(paths={"Greet": "/a", "Shout": "/b"}), build)
    assert "Greeter of the service 'greeting' lacks Shout" in await refusal(tmp_path, shouting)


async def test_a_foreign_servicer_may_lack_methods_as_under_grpc_aio(tmp_path: Path) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="old.proto", package="old.v1", syntax="proto3")
    file.dependency.append("google/protobuf/empty.proto")
    file.service.add(name="Old").method.add(
        name="Ask", input_type=".google.protobuf.Empty", output_type=".google.protobuf.Empty"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(Empty.DESCRIPTOR.file.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    old = Service("old", pool.FindServiceByName("old.v1.Old"), build)
    async with monolith(app(old), read({}, {"data": tmp_path, "port": 0, "demo": True}), SystemClock()) as running:
        assert running.url


async def calls_usr(host: ServiceContext) -> ServiceParts:
    host.channel("usr")
    return await build(host)


UNDECLARED = Service("greeting", contract(), calls_usr)


@pytest.mark.parametrize(
    ("calls", "remedy"),
    [((), "give its Service calls=('usr',)"), (("user",), "give its Service calls=('user', 'usr')")],
)
async def test_a_channel_that_is_not_declared(tmp_path: Path, calls: tuple[str, ...], remedy: str) -> None:
    line = await refusal(tmp_path, replace(UNDECLARED, calls=calls))
    assert "greeting opens a channel to 'usr', which is not among the calls that it declares" in line
    assert remedy in line


MISSPELT = replace(UNDECLARED, calls=("usr",))
TO_NOBODY = "greeting opens a channel to 'usr', which is not a service of this system: did it mean 'user'?"


async def test_a_channel_to_nobody(tmp_path: Path) -> None:
    assert TO_NOBODY in await refusal(tmp_path, MISSPELT)
    with pytest.raises(ConfigurationError, match="'usr', which is not a service of this system"):
        async with service_process(
            MISSPELT,
            (),
            read({}, {"data": tmp_path, "port": 0, "registry": "unix:/nowhere"}),
            SystemClock(),
            app(MISSPELT),
        ):
            pytest.fail("it started")


@pytest.mark.parametrize(
    "settings", [{"addresses": {"usr": ("127.0.0.1:27001",)}}, {"registry": "dns://127.0.0.1:9/x"}]
)
async def test_somebody_whom_the_settings_know_or_may_know_is_called(
    tmp_path: Path, settings: Mapping[str, Any]
) -> None:
    async with monolith(
        app(MISSPELT), read({}, {"data": tmp_path, "port": 0, "demo": True, **settings}), SystemClock()
    ) as up:
        assert up.url


async def keeps(host: ServiceContext) -> ServiceParts:
    assert host.database
    return await build(host)


async def test_a_database_without_migrations(tmp_path: Path) -> None:
    line = await refusal(tmp_path, Service("greeting", contract(), keeps))
    assert "greeting asks for its database and has none: its Service must name the folder of its migrations" in line


async def test_a_folder_without_migrations(tmp_path: Path) -> None:
    line = await refusal(tmp_path, Service("greeting", contract(), keeps, migrations=tmp_path / "nothing"))
    assert line.startswith("greeting has no migrations in ")
