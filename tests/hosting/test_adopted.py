"""What an adopted application gets, and how its process starts and ends: without a system, and with a wrong one."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from souk.discovery.registry import Instance
from souk.gateway.routing.announcement import ADOPTED, Announcement, announced, with_applications
from souk.gateway.routing.model import RoutesFile
from souk.hosting.adopted.application import imported
from souk.hosting.adopted.caller_headers import CallerHeaders
from souk.hosting.adopted.lifespan import living
from souk.hosting.adopted.measured import MeasuredApplication
from souk.kernel.clock import SystemClock
from souk.kernel.context import Caller
from souk.kernel.errors import ConfigurationError
from souk.rpc.caller_token import CALLER_KEY, OVER_HTTP, CallerTokens
from souk.testing.processes import run
from souk.testing.system import embedded

KEY = b"what nobody guesses, as in every test"
CLOCK = SystemClock()
Ask = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture(name="ask")
def _ask() -> Ask:
    """Sends a request to an application behind the caller's headers; gives the status and the scope that it got."""

    async def ask(*headers: tuple[bytes, bytes], path: str = "/reviews/x") -> tuple[int, dict[str, Any]]:
        got: dict[str, Any] = {}
        sent: list[Any] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            got.update(scope)
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Any) -> None:
            sent.append(message)

        callers = CallerHeaders(application, CallerTokens(KEY, "reviews", CLOCK), "/reviews", {"db": 1})
        scope = {"type": "http", "method": "GET", "path": path, "scheme": "http", "headers": list(headers)}
        await callers({**scope, "client": ("unix", 0)}, None, send)  # type: ignore[arg-type]
        return sent[0]["status"], got

    return ask


def token(caller: Caller, audience: str = "reviews", key: bytes = KEY, method: str = OVER_HTTP) -> tuple[bytes, bytes]:
    return CALLER_KEY.encode(), CallerTokens(key, "gateway", CLOCK).sign(caller, audience, method).encode()


async def test_the_gateways_token_becomes_plain_headers(ask: Ask) -> None:
    caller = Caller("U-1", frozenset({"support", "admin"}), frozenset({"a.b"}), "gateway", address="2001:db8::1")
    status, scope = await ask(token(caller), (b"accept", b"*/*"), (b"x-forwarded-proto", b"https"))
    assert status == 200
    assert scope["headers"] == [
        (b"accept", b"*/*"),
        (b"x-forwarded-proto", b"https"),
        (b"x-souk-user-id", b"U-1"),
        (b"x-souk-roles", b"admin,support"),
        (b"x-souk-scopes", b"a.b"),
    ]
    assert (scope["client"], scope["scheme"], scope["root_path"]) == (("2001:db8::1", 0), "https", "/reviews")
    assert scope["state"] == {"db": 1}


FORGED = [(b"x-souk-user-id", b"U-1"), (b"X-Souk-Roles", b"admin"), (b"x_souk_user_id", b"U-1"), (b"souk-any", b"")]


async def test_nobody_else_can_say_who_calls(ask: Ask) -> None:
    for given in ((), (token(Caller(service="gateway")),)):
        status, scope = await ask(*FORGED, *given)
        assert (status, scope["headers"]) == (200, [])
    assert (await ask((b"x-forwarded-proto", b"https")))[1]["scheme"] == "http"  # by another way than the gateway


@pytest.mark.parametrize(
    "forged",
    [
        token(Caller("U-1"), audience="other"),
        token(Caller("U-1"), key=b"a secret of another installation!"),
        token(Caller("U-1"), method="/shop.order.v1.OrderService/PlaceOrder"),
        (CALLER_KEY.encode(), b"\xff"),
        (CALLER_KEY.encode(), b""),
    ],
)
async def test_a_token_that_is_not_the_gateways_for_it_is_refused(ask: Ask, forged: tuple[bytes, bytes]) -> None:
    assert await ask(forged) == (503, {})


async def test_a_name_that_is_no_ascii_is_percent_encoded(ask: Ask) -> None:
    _, scope = await ask(token(Caller("acme|Zoë\n")))
    assert scope["headers"] == [(b"x-souk-user-id", b"acme|Zo%C3%AB%0A")]


async def test_outside_of_its_prefix_an_application_has_no_root_path(ask: Ask) -> None:
    assert "root_path" not in (await ask(token(Caller()), path="/reviewsx"))[1]


async def test_a_failure_is_answered_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("what it needs")

    registry, sent = CollectorRegistry(), []

    async def send(message: Any) -> None:
        sent.append(message)

    caplog.set_level(logging.CRITICAL)
    measured = MeasuredApplication(application, registry, CLOCK)
    await measured({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)  # type: ignore[arg-type]
    assert (sent[0]["status"], sent[1]["body"]) == (500, b"the application failed\n")
    labels = {"method": "GET", "status": "500"}
    assert registry.get_sample_value("souk_adopted_request_seconds_count", labels) == 1


async def test_a_lifespan_begins_and_ends() -> None:
    events: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["db"] = "open"
        for _ in range(2):
            events.append((await receive())["type"])
            await send({"type": f"{events[-1]}.complete"})

    async with living(application, 60) as state:
        assert (state, events) == ({"db": "open"}, ["lifespan.startup"])
    assert events == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_without_a_lifespan_runs() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("Django speaks of requests alone")

    async with living(application, 60) as state:
        assert state == {}


async def test_an_application_that_fails_to_start_says_why() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback...\nOSError: no database\n"})

    with pytest.raises(ConfigurationError, match=r"^the application failed to start: OSError: no database$"):
        async with living(application, 60):
            raise AssertionError("it has not started")


async def test_an_application_that_never_stops_is_ended() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    async with asyncio.timeout(60), living(application, 0.01):
        pass


def test_routes_of_applications_come_after_those_of_the_file() -> None:
    one, two = Announcement("reviews", "/reviews"), Announcement("site", "/", "caller", "read")
    hidden = Announcement("hidden", "/hidden", routed=False)
    said = [each.registered(Instance(each.service, "x", "unix:/a")) for each in (one, two, one)]
    assert [each.service for each in said] == [ADOPTED] * 3
    odd = Instance(ADOPTED, "odd", "unix:/a", metadata={"service": "a", "prefix": "/a", "access": "no such"})
    assert announced([*said, odd]) == ((one, two), ("odd",))
    assert not hidden.routed
    assert with_applications(None, ()) is None
    file = RoutesFile("routes.yaml")
    assert with_applications(file, ()) is file
    made = with_applications(file, (one, two))
    assert made is not None
    assert [each.service for each in made.upstreams] == ["reviews", "site"]
    assert made.owns_root
    alone = with_applications(None, (one,))
    assert alone is not None
    assert not alone.owns_root


WRONG = {
    "app": "'app' names no application; write MODULE:NAME, as in package.module:app",
    "nowhere_at_all:app": "there is no module 'nowhere_at_all'",
    "adoptable:ap": "module 'adoptable' has no 'ap'; the nearest is 'app'",
    "adoptable:number": "adoptable:number is a int and no ASGI application: it cannot be called",
    "adoptable:wsgi": "adoptable:wsgi is no ASGI 3 application",
    "adoptable_broken:app": "module 'adoptable_broken' cannot be imported: ZeroDivisionError: division by zero",
    "adoptable_needy:app": "module 'adoptable_needy' cannot be imported: ModuleNotFoundError: No module named 'needed'",
}


@pytest.fixture(name="modules")
def _modules(tmp_path: Path) -> Iterator[Path]:
    text = "async def app(scope, receive, send): ...\ndef wsgi(environ, start): ...\nnumber = 7\n"
    (tmp_path / "adoptable.py").write_text(text)
    (tmp_path / "adoptable_broken.py").write_text("1 / 0\n")
    (tmp_path / "adoptable_needy.py").write_text("import needed\n")
    yield tmp_path
    sys.modules.pop("adoptable", None)  # of the same name in another test's folder


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_application_is_refused_in_one_line(
    modules: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(modules)
    with pytest.raises(ConfigurationError) as refused:
        imported(name, modules)
    assert str(refused.value).startswith(WRONG[name])
    assert "\n" not in str(refused.value)


async def test_without_a_system_there_is_nothing_to_join(tmp_path: Path) -> None:
    ended = await run("adopt", "app:app", "--data", str(tmp_path))
    assert ended.status == 1
    assert ended.err.splitlines()[-1].startswith(f"souk: no system runs on {tmp_path}; start one with `souk up")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--name", "a b"), "'a b' is no name of a service"),
        (("--prefix", "reviews"), "a prefix is a path, as in /app, and not 'reviews'"),
        (("--prefix", "/a/{b}"), "a prefix is a path"),
    ],
)
async def test_a_wrong_name_or_prefix_is_refused(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    ended = await run("adopt", "app:app", "--data", str(tmp_path), *arguments)
    assert (ended.status, says in ended.err) == (1, True)


async def test_names_of_the_system_are_taken(tmp_path: Path, modules: Path) -> None:
    with embedded(tmp_path / "system") as system:
        for name in ("order", "gateway", ADOPTED):
            ended = await run(
                *("adopt", "adoptable:app", "--data", str(system.data), "--name", name),
                settings={"PYTHONPATH": str(modules)},
            )
            assert ended.status == 1
            assert f"souk: {name!r} is a service of the system; give the application a --name of its own" in ended.err
