"""The example of FastAPI, as its page says: adopted by a system of one process, and by a fleet."""

import asyncio
import json
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.testing.otlp_receiver import otlp_receiver
from souk.testing.processes import run
from souk.testing.system import LONG, MODES, Process, System, until
from tests.market.api import log_in

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "adopt-fastapi"
PATIENCE = 120
MODES_HERE = [
    pytest.param(
        mode, marks=[pytest.mark.xdist_group(f"adopt in {mode}"), *([pytest.mark.full] if mode in LONG else [])]
    )
    for mode in ("embedded", "fleet")
]


@contextmanager
def adopted(
    system: System,
    folder: Path,
    *arguments: str,
    application: str = "app:app",
    path: Path = EXAMPLE,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Runs `souk adopt`, by default of the example, beside a system; it is killed at the end if it still runs."""
    command = ("adopt", application, "--data", str(system.data), *arguments)
    process = Process(f"adopt{time.monotonic_ns()}", command, r"(?m)^ready \S+ (?P<url>\S+)$", folder)
    process.spawn({"PYTHONPATH": str(path), **(settings or {})})
    try:
        process.await_ready()
        yield process
    finally:
        if process.runs:
            process.send(signal.SIGKILL)
            process.await_end()


@pytest.fixture(name="system", params=MODES_HERE, scope="module")
def _system(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("adopt")
    routes = folder / "routes.yaml"
    routes.write_text((EXAMPLE / "routes.yaml").read_text())
    with MODES[request.param](folder, settings={"SOUK_ROUTES": str(routes)}) as system:
        yield system


def is_there(url: str, wanted: int = 200) -> None:
    """Waits until a path is answered with a status."""
    until(lambda: httpx.get(url, timeout=PATIENCE).status_code == wanted, PATIENCE, f"{url} is {wanted}")


def figures_of(data: Path, service: str) -> set[str]:
    """The metrics of a service that the console has gathered."""
    sql = "SELECT DISTINCT metric FROM series AS s JOIN processes AS p ON p.id = s.process WHERE p.service = ?"
    try:
        with closing(sqlite3.connect(f"file:{data}/console/console.db?mode=ro", uri=True)) as connection:
            return {row[0] for row in connection.execute(sql, (service,))}
    except sqlite3.OperationalError:  # nothing is gathered yet
        return set()


def test_the_console_gathers_the_figures_of_an_application(system: System, tmp_path: Path) -> None:
    with adopted(system, tmp_path, "--name", "reviews"):
        is_there(f"{system.url}/reviews/me")
        found = lambda: "souk_adopted_request_seconds" in figures_of(system.data, "reviews")  # noqa: E731
        until(found, PATIENCE, "its requests are gathered")


def test_it_joins_learns_who_calls_and_leaves(system: System, tmp_path: Path) -> None:
    me = f"{system.url}/reviews/me"
    assert httpx.get(me).status_code == 404
    with adopted(system, tmp_path, "--name", "reviews", "--metrics-port", "0") as process:
        is_there(me)
        forged = {"x-souk-user-id": "U-1", "X_Souk_Roles": "admin", "souk-caller": "forged"}
        nobody = httpx.get(me, headers=forged).json()
        assert nobody == {"user": "", "roles": "", "client": "127.0.0.1", "root": "/reviews"}
        wrong = httpx.get(me, headers={"authorization": "Bearer the application's own"})
        assert (wrong.status_code, wrong.json()["user"]) == (200, "")

        with log_in(system.url, "demo@souk.test", "demo-password") as buyer:
            known = buyer.get("/reviews/me", headers=forged).json()
            assert known["user"] not in ("", "U-1")
            review = {"product": "P-101", "stars": 5, "text": "warm"}
            assert buyer.post("/reviews/", json=review).json()["author"] == known["user"]
        assert httpx.post(f"{system.url}/reviews/", json=review).status_code == 401
        assert httpx.get(f"{system.url}/reviews/products/P-101").json()[0]["text"] == "warm"
        assert "/reviews/openapi.json" in httpx.get(f"{system.url}/reviews/docs").text

        process.send(signal.SIGINT)
        assert process.await_end() == 0
    is_there(me, 404)


TALKING = """
import logging

async def app(scope, receive, send):
    logging.getLogger("talking").warning("asked", extra={"path": scope["path"], "password": "hunter2"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


def test_what_an_application_logs_is_exported_with_its_trace(system: System, tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    with otlp_receiver() as receiver:
        settings = {
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_url,
        }
        with adopted(
            system, tmp_path, "--name", "talking", application="talking:app", path=tmp_path, settings=settings
        ) as process:
            is_there(f"{system.url}/talking/x")
            trace = httpx.get(f"{system.url}/talking/y", timeout=PATIENCE).headers["traceparent"].split("-")[1]
            process.send(signal.SIGINT)  # what waits is exported at its end
            assert process.await_end() == 0
        (record,) = (one for one in receiver.logs if one.attributes.get("path") == "/talking/y")
    assert (record.service, record.body, record.severity, record.trace_id) == ("talking", "asked", "WARN", trace)
    assert record.attributes["password"] == "[struck out]"
    assert record.span_id


def test_an_administrator_is_known_by_the_roles_of_now(system: System, tmp_path: Path) -> None:
    with adopted(system, tmp_path, "--name", "roles"), log_in(system.url, "admin@souk.test", "admin-password") as admin:
        is_there(f"{system.url}/roles/me")
        assert "admin" in admin.get("/roles/me").json()["roles"].lower()


def test_a_route_of_the_file_says_who_may_call(system: System, tmp_path: Path) -> None:
    members = f"{system.url}/members/me"
    with adopted(system, tmp_path, "--name", "members", "--prefix", "/members", "--no-route"):
        is_there(members, 401)
        with log_in(system.url, "demo@souk.test", "demo-password") as buyer:
            until(lambda: buyer.get("/members/me").status_code == 200, PATIENCE, "the application is there")
            answer = buyer.get("/members/me").json()
            assert (answer["user"] != "", answer["root"]) == (True, "/members")


def test_two_processes_share_the_requests_and_one_may_die(system: System, tmp_path: Path) -> None:
    two = f"{system.url}/two/me"
    with adopted(system, tmp_path, "--name", "two") as first, adopted(system, tmp_path, "--name", "two"):
        is_there(two)
        first.send(signal.SIGKILL)
        first.await_end()
        assert {httpx.get(two).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("system", MODES_HERE[:1], indirect=True)
def test_it_joins_again_when_the_system_has_started_again(system: System, tmp_path: Path) -> None:
    again = "/again/me"
    with adopted(system, tmp_path, "--name", "again"):
        is_there(system.url + again)
        system.stop()
        system.start()
        is_there(system.url + again)


def applications(system: System) -> dict[str, Any]:
    """Gives the applications that `souk ps` lists."""
    listed = json.loads(asyncio.run(run("ps", "--json", "--data", str(system.data))).out)
    return {one["service"]: one for one in listed if one["kind"] == "application"}


def test_operators_see_it(system: System, tmp_path: Path) -> None:
    here = ("--data", str(system.data))
    with (
        adopted(system, tmp_path, "--name", "seen", "--access", "caller", "--rate-class", "write") as process,
        adopted(system, tmp_path, "--name", "unseen", "--no-route"),
    ):
        is_there(f"{system.url}/seen/me", 401)
        # Those that other tests have killed may be listed for a moment.
        until(lambda: applications(system).keys() == {"seen", "unseen"}, PATIENCE, "both are listed, and no other")
        found = applications(system)
        seen = found["seen"]
        assert (seen["pid"], seen["state"], seen["status"]["checks"]) == (process.pid, "ready", [])
        said = {"source": "app:app", "prefix": "/seen", "access": "caller", "rate_class": "write", "routed": True}
        assert seen["application"] == said
        assert not found["unseen"]["application"]["routed"]
        routes = asyncio.run(run("routes", "--json", *here)).out
        row = next(one for one in json.loads(routes) if one["service"] == "application seen")
        assert (row["method"], row["path"], row["who"]) == ("*", "/seen/*", "user")
        assert "unseen" not in routes
        explained = asyncio.run(run("routes", "--explain", "GET /seen/x", *here)).out
        assert "adopted seen" in explained.splitlines()[0]
        (tmp_path / "other.py").write_text("from app import app\n")
        both = {"PYTHONPATH": f"{EXAMPLE}:{tmp_path}"}
        taken = asyncio.run(run("adopt", "other:app", *here, "--name", "seen", settings=both))
        says = "souk: 'seen' is the name of the application app:app, which runs; choose another with --name"
        assert (taken.status, taken.err.splitlines()[-1]) == (1, says)
        process.send(signal.SIGINT)
        assert process.await_end() == 0
        until(lambda: '"seen"' not in asyncio.run(run("ps", "--json", *here)).out, PATIENCE, "it has left the list")
