"""What the command line shows. `python tests/cli/test_commands.py` writes the snapshots anew."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from souk.testing.processes import run, start

SNAPSHOTS = Path(__file__).parent / "snapshots"
SHOWN = {
    "souk": (),
    "souk-up": ("up",),
    "souk-serve": ("serve",),
    "souk-migrate": ("migrate",),
    "souk-order": ("order",),
    "souk-routes": ("routes",),
    "souk-mesh": ("mesh",),
    "souk-mesh-who-may-call": ("mesh", "who-may-call"),
    "souk-mesh-check": ("mesh", "check"),
    "souk-mesh-export": ("mesh", "export"),
    "souk-canary": ("canary",),
    "souk-canary-start": ("canary", "start"),
    "souk-canary-status": ("canary", "status"),
    "souk-canary-promote": ("canary", "promote"),
    "souk-canary-pause": ("canary", "pause"),
    "souk-canary-resume": ("canary", "resume"),
    "souk-canary-abort": ("canary", "abort"),
    "souk-gateway": ("gateway",),
    "souk-gateway-reload": ("gateway", "reload"),
    "souk-openapi": ("openapi",),
    "souk-asyncapi": ("asyncapi",),
    "souk-ps": ("ps",),
    "souk-scale": ("scale",),
    "souk-restart": ("restart",),
    "souk-stop": ("stop",),
    "souk-start": ("start",),
    "souk-logs": ("logs",),
    "souk-traces": ("traces",),
    "souk-breakers": ("breakers",),
    "souk-parked": ("parked",),
    "souk-parked-retry": ("parked", "retry"),
    "souk-events": ("events",),
    "souk-events-parked": ("events", "parked"),
    "souk-events-lag": ("events", "lag"),
    "souk-events-show": ("events", "show"),
    "souk-events-replay": ("events", "replay"),
    "souk-events-edit": ("events", "edit"),
    "souk-events-discard": ("events", "discard"),
    "souk-events-discarded": ("events", "discarded"),
    "souk-rebuild": ("rebuild",),
    "souk-mail": ("mail",),
    "souk-new-service": ("new", "service"),
    "souk-settings": ("settings",),
}
WIDTH = {"COLUMNS": "100"}


async def help_of(name: str) -> str:
    ended = await run(*SHOWN[name], "--help", settings=WIDTH)
    assert ended.status == 0
    return ended.out


@pytest.mark.parametrize("name", SHOWN)
async def test_help_is_as_it_was(name: str) -> None:
    assert await help_of(name) == (SNAPSHOTS / f"{name}.txt").read_text()


async def test_every_command_shows_examples() -> None:
    for name in SHOWN:
        assert "Examples:" in (SNAPSHOTS / f"{name}.txt").read_text(), name


@pytest.mark.parametrize(("typed", "meant"), [("ordr", "order"), ("upp", "up"), ("route", "routes")])
async def test_an_unknown_command_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    ended = await run(typed)
    assert ended.status == 2
    assert f"There is no command {typed!r}; the nearest is {meant!r}." in ended.err


async def test_a_word_that_is_like_no_command_is_answered_with_those_that_there_are() -> None:
    ended = await run("xyzzy")
    assert ended.status == 2
    assert "There is no command 'xyzzy'; there are " in ended.err
    assert "nearest" not in ended.err


HELD = """
import os, signal, sys

class Holds:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["HELD_AT"]:
            os.write(1, b"held\\n")
            signal.pause()

sys.meta_path.insert(0, Holds())
"""
"""Holds a program in the moment in which it loads a module."""


@pytest.mark.parametrize("module", ["click", "google.protobuf", "grpc"])
async def test_ctrl_c_while_it_loads_ends_it_without_a_word(module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HELD)
    process = await start("up", "--help", settings={"PYTHONPATH": str(tmp_path), "HELD_AT": module})
    assert process.stdout
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"held\n"
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (-signal.SIGINT, b"")


async def test_the_version_is_that_of_the_package() -> None:
    ended = await run("--version")
    assert ended.out.startswith("souk, version ")


async def test_every_route_says_who_may_call_it() -> None:
    ended = await run("routes", "--json")
    routes = {(row["method"], row["path"]): row for row in json.loads(ended.out)}
    assert routes["POST", "/api/v1/orders"] == {
        "method": "POST",
        "path": "/api/v1/orders",
        "service": "order",
        "who": "user",
        "timeout": 10.0,
        "limits": ["writes"],
    }
    assert routes["GET", "/api/v1/stock/{productId}"]["who"] == "anyone"
    assert routes["POST", "/api/v1/orders/{id}:ship"]["who"] == "admin"


async def test_routes_in_a_pipe_are_plain_lines() -> None:
    ended = await run("routes")
    assert "\x1b" not in ended.out
    assert ended.out.splitlines()[0].split() == ["method", "path", "service", "who", "timeout", "limits"]


async def test_the_asyncapi_document_is_printed() -> None:
    document = json.loads((await run("asyncapi")).out)
    assert document["asyncapi"] == "3.0.0"
    assert "shop.order.v1.OrderConfirmed" in document["components"]["messages"]


async def test_the_openapi_document_is_printed() -> None:
    document = json.loads((await run("openapi")).out)
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/orders" in document["paths"]


async def test_a_warning_never_gets_into_the_output(tmp_path: Path) -> None:
    broken = tmp_path / "broken-0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0\n")
    (broken / "entry_points.txt").write_text("[souk.services]\nbroken = nowhere:service\n")
    ended = await run("openapi", settings={"PYTHONPATH": str(tmp_path)})
    assert json.loads(ended.out)["openapi"].startswith("3.1")
    assert json.loads(ended.err)["event"] == "an installed service does not load"


async def test_an_app_that_imports_what_is_not_there_says_where(tmp_path: Path) -> None:
    broken = tmp_path / "broken-0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0\n")
    (broken / "entry_points.txt").write_text("[souk.apps]\nbroken = broken_app:app\n")
    (tmp_path / "broken_app.py").write_text("app = None\nimport nothing_here\n")
    ended = await run("routes", settings={"PYTHONPATH": str(tmp_path), "SOUK_APP": "broken"})
    assert ended.status == 1
    assert ended.err == (
        "souk: souk.apps 'broken' is installed but does not load: No module named 'nothing_here' "
        f"({tmp_path / 'broken_app.py'}, line 2)\n"
    )


async def test_a_name_that_is_like_none_is_answered_with_all() -> None:
    ended = await run("grreeting")
    assert "the nearest" not in ended.err
    assert "there are admin, adopt, asyncapi, backup, breakers" in ended.err


async def test_where_no_system_is_it_is_said_in_one_line() -> None:
    ended = await run("order", "--url", "http://127.0.0.1:1")
    assert ended.status == 1
    assert ended.err.startswith("souk: no system responds at http://127.0.0.1:1")
    assert ended.err.count("\n") == 1


if __name__ == "__main__":
    for shown in SHOWN:
        (SNAPSHOTS / f"{shown}.txt").write_text(asyncio.run(help_of(shown)))
