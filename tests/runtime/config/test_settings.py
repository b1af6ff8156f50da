from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from soukapi.v1 import event_pb2

from souk.hosting.event_routing import subscriptions_of
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import read
from souk.runtime.config.parsers import postgres_server
from souk.runtime.config.settings import Settings
from souk.runtime.config.variables import BY_NAME, with_values
from souk.runtime.service import Service, ServiceContext, ServiceParts, Setting, Subscription


async def build(host: ServiceContext) -> ServiceParts:
    return ServiceParts(servicer=object())


ORDER = Service(
    name="order",
    contract=event_pb2.DESCRIPTOR.services_by_name["EventSink"],
    build=build,
    settings=(Setting("request_deadline", "How long a request may take.", "10", "seconds"),),
)


def test_nothing_set_is_the_documented_default() -> None:
    settings = read({})
    assert settings.listen.port == 8080
    assert settings.listen.address == "127.0.0.1"
    assert not settings.demo


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("SOUK_PROT", "SOUK_PORT"),
        ("SOUK_DATADIR", "SOUK_DATA"),
        ("SOUK_ORDER_REQUEST_DEADLIN", "SOUK_ORDER_REQUEST_DEADLINE"),
        ("SOUK_XYZZY", "SOUK_"),
    ],
)
def test_an_unknown_setting_is_an_error_that_names_the_nearest(unknown: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read({unknown: "1"}, services=[ORDER])
    assert unknown in str(raised.value)
    assert f"nearest is {nearest}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_not_ours_is_left_alone() -> None:
    assert read({"PATH": "/bin", "SOUKS": "many"}) == read({})


def test_a_flag_wins_over_the_environment_unless_it_was_not_given() -> None:
    settings = read({"SOUK_PORT": "9000", "SOUK_DATA": "/a"}, {"port": 9001, "data": None})
    assert settings.listen.port == 9001
    assert settings.data.directory == Path("/a")


def test_a_service_has_the_settings_that_it_declares() -> None:
    assert read({"SOUK_ORDER_REQUEST_DEADLINE": "2"}, services=[ORDER]).services == {"order": {"request_deadline": "2"}}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SOUK_PORT", "65536"),
        ("SOUK_PORT", "web"),
        ("SOUK_PORT", "-1"),
        ("SOUK_DEMO", "perhaps"),
        ("SOUK_TOPOLOGY", "ring"),
        ("SOUK_LOG_LEVEL", "loud"),
        ("SOUK_ADDRESSES", "inventory"),
        ("SOUK_ADDRESSES", "inventory=127.0.0.1"),
        ("SOUK_ADDRESSES", "inventory=127.0.0.1:0"),
        ("SOUK_SUBSCRIPTIONS", "notification=shop.order.v1.OrderConfirmed"),
        ("SOUK_SUBSCRIPTIONS", "notification/mails=OrderConfirmed"),
        ("SOUK_SUBSCRIPTIONS", "notification/mails=shop.order.v1.OrderConfirmed+"),
        ("SOUK_FAULTS", "point=soon"),
        ("SOUK_FAULTS", "point=1,point=2"),
        ("SOUK_DRAIN", "nan"),
        ("SOUK_SECRET", "short"),
        ("SOUK_POSTGRES", "mysql://u:p@h/{service}"),
        ("SOUK_POSTGRES", "postgresql://{service}:p@h"),
        ("SOUK_POSTGRES", "postgresql://u:p@h:web/{service}"),
        ("SOUK_POSTGRES", "postgresql://u:p@[h/{service}"),
        ("SOUK_POSTGRES", "postgresql://u:p@h,g:web/{service}"),
        ("SOUK_POSTGRES_POOL", "0"),
        ("SOUK_REDIS", "127.0.0.1:6379"),
        ("SOUK_REGISTRY", "zookeeper://127.0.0.1:2181"),
        ("SOUK_REGISTRY", "unix:"),
        ("SOUK_REGISTRY", "etcd://a:1,b:web"),
        ("SOUK_REGISTRY", "etcd://a:1,b:0"),
        ("SOUK_INSTANCE", "order 1"),
        ("SOUK_WEIGHT", "0"),
        ("SOUK_HOP", "soap"),
        ("SOUK_LISTEN_FD", "-1"),
    ],
)
def test_a_value_that_does_not_fit_is_said_in_one_line(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read({variable: value})
    assert str(raised.value).startswith(f"{variable}: ")
    assert "\n" not in str(raised.value)


def test_a_secret_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read({"SOUK_SECRET": "short-one"})
    assert "short-one" not in str(raised.value)
    secret = "s" * 40
    assert secret not in repr(read({"SOUK_SECRET": secret}))
    for url in ("postgresql://u:pass/word@h/{service}", "postgresql://u:password@h"):
        with pytest.raises(ConfigurationError) as raised:
            read({"SOUK_POSTGRES": url})
        assert "word" not in str(raised.value).removeprefix("SOUK_POSTGRES: ").replace("user:password@host", "")
    assert "pw" not in repr(read({"SOUK_POSTGRES": "postgresql://u:pw@h/{service}"}))
    several = "postgresql://u:pw@a:1,b/{service}"
    assert read({"SOUK_POSTGRES": several}).data.postgres == several
    assert postgres_server(several) == "a:1, b:5432"
    cluster = "etcd://u:pw@a:1,b:2"
    assert read({"SOUK_REGISTRY": cluster}).calls.discovery.registry == cluster
    assert "pw" not in repr(read({"SOUK_REGISTRY": cluster}))


def test_lists_of_pairs_are_read() -> None:
    settings = read({"SOUK_ADDRESSES": "order=127.0.0.1:1, user=[::1]:2", "SOUK_FAULTS": "after-charge=0"})
    assert settings.calls.discovery.addresses == {"order": ("127.0.0.1:1",), "user": ("[::1]:2",)}
    assert settings.process.faults == {"after-charge": 0}


def test_who_hears_what_elsewhere_is_read() -> None:
    settings = read({"SOUK_SUBSCRIPTIONS": "notification/mails=a.v1.Placed+a.v1.Gone, order/refunds=b.v1.Refunded"})
    assert settings.calls.discovery.subscriptions == {
        "notification/mails": ("a.v1.Placed", "a.v1.Gone"),
        "order/refunds": ("b.v1.Refunded",),
    }


def test_what_is_said_is_heard_besides_what_is_declared() -> None:
    declared = replace(ORDER, subscriptions=(Subscription("refunds", ("b.v1.Refunded",)),))
    said = {"order/refunds": ("b.v1.Refunded", "b.v1.Lost"), "notification/mails": ("a.v1.Placed",)}
    assert subscriptions_of([declared], said) == [
        ("order", Subscription("refunds", ("b.v1.Refunded", "b.v1.Lost"))),
        ("notification", Subscription("mails", ("a.v1.Placed",))),
    ]
    waiting = replace(ORDER, subscriptions=(Subscription("refunds", ("b.v1.Refunded",), after_parked="wait"),))
    assert subscriptions_of([waiting], {"order/refunds": ("b.v1.Lost",)}) == [
        ("order", Subscription("refunds", ("b.v1.Refunded", "b.v1.Lost"), after_parked="wait")),
    ]


def test_demo_data_is_served_on_loopback_only() -> None:
    assert read({}, {"demo": True}).listen.address == "127.0.0.1"
    with pytest.raises(ConfigurationError, match="loopback only"):
        read({"SOUK_HOST": "0.0.0.0"}, {"demo": True})


def test_the_embedded_registry_may_be_at_a_port() -> None:
    url = "grpc://:s3cr3t@127.0.0.1:7100"
    assert read({"SOUK_REGISTRY": url}).calls.discovery.registry == url


def paths(slice_: Any, before: str = "") -> Iterator[str]:
    for one in fields(slice_):
        value = getattr(slice_, one.name)
        if is_dataclass(value):
            yield from paths(value, f"{before}{one.name}.")
        else:
            yield f"{before}{one.name}"


BY_OPENTELEMETRY = (
    "tracing.exporters",
    "tracing.receivers",
    "tracing.service",
    "tracing.sampler",
    "tracing.batch.",
    "tracing.disabled",
    "log_export.",
)
"""Settings that OpenTelemetry's own variables set."""


def test_each_setting_in_a_slice_has_one_variable() -> None:
    ours = {path for path in paths(Settings()) if not path.startswith(BY_OPENTELEMETRY)}
    assert sorted(about.path for about in BY_NAME.values()) == sorted(ours - {"services"})


@pytest.mark.parametrize("name", BY_NAME)
def test_a_variable_sets_its_own_setting_and_no_other(name: str) -> None:
    value, default = object(), Settings()
    changed = with_values(default, {name: value})
    assert [one for one, about in BY_NAME.items() if about.value_in(changed) != about.value_in(default)] == [name]
    assert BY_NAME[name].value_in(changed) is value


def test_origins_are_read_as_browsers_write_them() -> None:
    settings = read({"SOUK_CORS_ORIGINS": "https://Shop.example.com, https://*.example.org,http://localhost:5173"})
    assert settings.http.cors_origins == ("https://shop.example.com", "https://*.example.org", "http://localhost:5173")
    assert read({"SOUK_CORS_ORIGINS": "*"}).http.cors_origins == ("*",)


@pytest.mark.parametrize(
    "text",
    ["shop.example.com", "https://shop.example.com/", "https://a/b", "*,https://a", "https://*a.example.com", "null"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SOUK_CORS_ORIGINS"):
        read({"SOUK_CORS_ORIGINS": text})
