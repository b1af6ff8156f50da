"""Writes each operation as it is called from a shell, and from Python."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import dumps
from keyword import iskeyword
from typing import Any
from urllib.parse import quote, urlencode

from souk.gateway.docs.schema import Schema

JSON = "application/json"
URL, TOKEN = "$URL", "$TOKEN"
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PART = re.compile(r"\{([^}]+)\}")
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class ExampleCall:
    """A call of an operation that its document has values for: required parameters, and a body of JSON.

    `path` and `query` have the values by name; `body` is None for an operation without one. `key` is the member of the
    body that is its idempotency key, or "".
    """

    verb: str
    template: str
    name: str
    has_caller: bool
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None
    key: str = ""

    @property
    def target(self) -> str:
        """The path and the query, percent-encoded."""
        path = _PART.sub(lambda part: quote(self.path[part[1]], safe=""), self.template)
        return f"{path}?{urlencode(self.query, quote_via=quote)}" if self.query else path


def example_of(verb: str, path: str, operation: Schema) -> ExampleCall | None:
    """Makes the example of an operation; None for one that only a browser can call, or whose body is no JSON."""
    contents = operation.get("requestBody", {}).get("content", {})
    if operation.get("x-same-origin") or (contents and "example" not in contents.get(JSON, {})):
        return None
    needed = [one for one in operation["parameters"] if one["required"] and one["in"] in ("path", "query")]
    values = {where: {one["name"]: _value(one) for one in needed if one["in"] == where} for where in ("path", "query")}
    return ExampleCall(
        verb.upper(), path, operation["operationId"], bool(operation["security"]), values["path"], values["query"],
        contents[JSON]["example"] if contents else None, operation.get("x-idempotency-key", ""),
    )  # fmt: skip


def _value(parameter: Schema) -> str:
    return str(parameter.get("example", parameter["name"].upper()))


def curl(call: ExampleCall) -> str:
    """Writes the call for a shell in which `URL` and `TOKEN` are set."""
    verb = "" if call.verb == "GET" else f"-X {call.verb} "
    lines = [f'curl {verb}"{URL}{call.target}"']
    if call.has_caller:
        lines.append(f'-H "Authorization: Bearer {TOKEN}"')
    if call.body is not None:
        lines += [f"-H 'Content-Type: {JSON}'", f"-d {_quoted(dumps(call.body, ensure_ascii=False))}"]
    return " \\\n  ".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def python(call: ExampleCall, client: str) -> str:
    """Writes the call for Python: with the generated client of that name, or with httpx for an API without one."""
    return _with_client(call, client) if client else _with_httpx(call)


def _with_client(call: ExampleCall, client: str) -> str:
    given = [dumps(value) for value in call.path.values()]
    lines = [f"from {client} import Client\n"]
    if call.body is not None:
        body = {name: value for name, value in call.body.items() if name != call.key}  # the client makes a key
        lines.append(f"body = {_literal(body)}")
        given.append("body")
    given += [f"{_argument(name)}={dumps(value)}" for name, value in call.query.items()]
    caller = ", token=TOKEN" if call.has_caller else ""
    return "\n".join(
        [*lines, f"with Client(URL{caller}) as souk:", f"    print(souk.{_snake(call.name)}({', '.join(given)}))"]
    )


def _with_httpx(call: ExampleCall) -> str:
    given, lines = [f'"{call.verb}"', f'URL + "{call.target}"'], ["import httpx\n"]
    if call.has_caller:
        lines.append('headers = {"Authorization": f"Bearer {TOKEN}"}')
        given.append("headers=headers")
    if call.body is not None:
        lines.append(f"body = {_literal(call.body)}")
        given.append("json=body")
    return "\n".join([*lines, f"answer = httpx.request({', '.join(given)})", "print(answer.status_code, answer.text)"])


def _literal(value: Any, indent: str = "") -> str:
    """Writes a value of JSON as Python does, over several lines when it is long."""
    deeper = indent + "    "
    match value:
        case {**members}:
            parts, ends = [f"{dumps(name)}: {_literal(one, deeper)}" for name, one in members.items()], "{}"
        case list():
            parts, ends = [_literal(one, deeper) for one in value], "[]"
        case str():
            return dumps(value, ensure_ascii=False)
        case _:
            return repr(value)
    line = f"{ends[0]}{', '.join(parts)}{ends[1]}"
    if len(line) + len(indent) < _WIDTH and "\n" not in line:
        return line
    return "\n".join([ends[0], *(f"{deeper}{part}," for part in parts), f"{indent}{ends[1]}"])


def _argument(name: str) -> str:
    snake = _snake(name)
    return f"{snake}_" if iskeyword(snake) else snake


def _snake(name: str) -> str:
    return _WORDS.sub("_", name.replace(".", "_")).lower()


def token_commands(login: ExampleCall) -> Iterator[tuple[str, str]]:
    """Writes how URL and TOKEN of the other examples are had, by the name of the language."""
    body = _quoted(dumps(login.body, ensure_ascii=False))
    yield (
        "curl",
        (
            f"URL=http://127.0.0.1:8080\n"
            f"TOKEN=$(curl -s \"{URL}{login.target}\" -H 'Content-Type: {JSON}' \\\n  -d {body} \\\n"
            """  | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')"""
        ),
    )
    yield (
        "Python",
        (
            'import httpx\n\nURL = "http://127.0.0.1:8080"\n'
            f"who = {_literal(login.body)}\n"
            f'TOKEN = httpx.post(URL + "{login.target}", json=who).json()["accessToken"]'
        ),
    )
