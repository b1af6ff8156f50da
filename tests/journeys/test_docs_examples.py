"""The examples of the API's page are run as they stand there: each in a shell with curl, and in Python."""

import contextlib
import html
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from souk_client import ApiError

from souk.testing.system import embedded

LAST = ("deleteAddress", "deletePaymentMethod", "logout", "changePassword", "deleteMe")
"""What takes away what others need."""
OF_THE_REQUEST = {
    "INVALID_REQUEST",
    "ROUTE_NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "UNSUPPORTED_MEDIA_TYPE",
    "UNAUTHENTICATED",
}
"""Codes that say that the example itself is wrong."""
_OPERATION = re.compile(r'<details class="operation" id="(\w+)">(.*?)</details>', re.DOTALL)
_EXAMPLE = re.compile(r"<h3>(curl|Python)</h3><pre(?: class=\"origin\")?>(.*?)</pre>", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """The page of a running system: how a token is had, and each operation's examples by language."""

    url: str
    token: dict[str, str]
    operations: dict[str, dict[str, str]]

    def in_order(self, language: str) -> list[tuple[str, str]]:
        """The examples of a language, those of LAST at the end."""
        found = [(name, examples[language]) for name, examples in self.operations.items() if examples]
        return sorted(found, key=lambda one: LAST.index(one[0]) if one[0] in LAST else -1)


def examples(part: str) -> dict[str, str]:
    return {language: html.unescape(text) for language, text in _EXAMPLE.findall(part)}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The page of a marketplace with demo data."""
    with embedded(tmp_path) as system:
        text = httpx.get(f"{system.url}/docs").text
        found = {name: examples(part) for name, part in _OPERATION.findall(text)}
        login = examples(text.partition("</section>")[0].replace("http://127.0.0.1:8080", system.url))
        yield Page(system.url, login, found)


def test_each_example_works_in_a_shell(page: Page) -> None:
    without = {name for name, found in page.operations.items() if not found}
    assert without == {"openSession", "refreshSession", "closeSession", "createClientToken"}
    answers: dict[str, tuple[int, Any]] = {}
    begun = shell(page.token["curl"] + '\nprintf %s "$TOKEN"', {})
    for name, text in page.in_order("curl"):
        written = text.replace("curl ", "curl -s -w '\\n%{http_code}' ", 1)
        body, _, status = shell(written, {"URL": page.url, "TOKEN": begun}).rpartition("\n")
        answers[name] = int(status), json.loads(body) if body else {}
    judge({name: (status, body.get("code", "")) for name, (status, body) in answers.items()})


def test_each_example_works_in_python(page: Page) -> None:
    answers: dict[str, tuple[int, str]] = {}
    names: dict[str, Any] = {}
    exec(page.token["Python"], names)
    for name, text in page.in_order("Python"):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(text, dict(names))
            answers[name] = 200, ""
        except ApiError as error:
            answers[name] = error.status, error.code
    judge(answers)


def shell(script: str, variables: dict[str, str]) -> str:
    done = subprocess.run(
        ("bash", "-euc", script), text=True, capture_output=True, check=True, env={**os.environ, **variables}
    )
    return done.stdout


def judge(answers: dict[str, tuple[int, str]]) -> None:
    assert {name: found for name, found in answers.items() if found[1] in OF_THE_REQUEST or found[0] >= 500} == {}
    done = {name for name, (status, _) in answers.items() if status < 300}
    assert {"listProducts", "createToken", "getMe", "placeOrder", "listOrders", "changePassword"} <= done
    assert len(done) > 20
