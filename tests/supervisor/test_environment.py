"""What a process of a fleet is told."""

from pathlib import Path

from souk.runtime.config.environment import read
from souk.runtime.config.settings import ProcessSettings
from souk.supervisor.launch import Surroundings

INHERITED = {
    "PATH": "/bin",
    "HOST": "a name of this machine",
    "SOUK_LOG_LEVEL": "warning",
    "SOUK_ORDER_SAGA_LIMIT": "60",
    "SOUK_PORT": "8080",
    "SOUK_HOST": "0.0.0.0",
    "SOUK_TOPOLOGY": "fleet",
    "SOUK_SCALE": "order=2",
    "SOUK_POSTGRES": "postgresql://admin:secret@db/postgres",
    "SOUK_LOG_FILE": "/var/log/souk",
}
AROUND = Surroundings(INHERITED, ProcessSettings(), True, Path("/data"), "unix:/r.sock", "unix:///v.sock")


def told(**own: str) -> dict[str, str]:
    return AROUND.of("order-2", Path("/run/order-2.sock"), own)


def test_its_place_is_its_own() -> None:
    given = told(POSTGRES="postgresql://order@/order")
    assert given["SOUK_INSTANCE"] == "order-2"
    assert given["SOUK_CONTROL"] == "/run/order-2.sock"
    assert given["SOUK_POSTGRES"] == "postgresql://order@/order"
    assert given["SOUK_REGISTRY"] == "unix:/r.sock"


def test_what_is_meant_for_the_whole_is_not_passed_on() -> None:
    given = told()
    assert (
        not {"SOUK_PORT", "SOUK_HOST", "SOUK_TOPOLOGY", "SOUK_SCALE", "SOUK_POSTGRES", "SOUK_LOG_FILE"} & given.keys()
    )


def test_everything_else_is() -> None:
    given = told()
    assert {"PATH", "HOST", "SOUK_LOG_LEVEL", "SOUK_ORDER_SAGA_LIMIT"} <= given.keys()


def test_a_service_understands_all_of_it() -> None:
    given = told(POSTGRES="postgresql://order@/order", POSTGRES_POOL="5", LISTEN_FD="7")
    known = {name: text for name, text in given.items() if name != "SOUK_ORDER_SAGA_LIMIT"}
    settings = read(known)
    assert (settings.demo, settings.data.postgres_pool, settings.listen.descriptor) == (True, 5, 7)


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(AROUND)


def test_nor_the_token_of_a_registry() -> None:
    registry = "consul://:s3cr3t@127.0.0.1:8500"
    around = Surroundings({}, ProcessSettings(), False, Path("/data"), registry, "unix:///v.sock")
    assert around.of("order-2", Path("/run/order-2.sock"), {})["SOUK_REGISTRY"] == registry
    assert "s3cr3t" not in repr(around)
