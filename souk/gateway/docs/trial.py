"""Renders what a request is tried with from the page: a form for each operation, and the login."""

from collections.abc import Iterator, Mapping
from html import escape
from json import dumps
from typing import Any

from souk.gateway.docs.examples import JSON, ExampleCall, curl, example_of, python, token_commands
from souk.gateway.docs.schema import Schema
from souk.gateway.docs.settings import DocsSettings

_NOBODY = "Nobody is logged in."


def examples(verb: str, path: str, operation: Schema, docs: DocsSettings) -> Iterator[str]:
    """Renders an operation's form, which waits hidden for the page's script, and its examples; or nothing."""
    call = example_of(verb, path, operation)
    if call is None:
        return
    yield "<h3>Try it</h3>"
    yield f'<form class="try" hidden data-verb="{call.verb}" data-path="{escape(path)}">'
    for parameter in operation["parameters"]:
        if parameter["in"] in ("path", "query"):
            yield _parameter(parameter)
    if call.body is not None:
        body = escape(dumps(call.body, indent=2, ensure_ascii=False))
        rows = min(body.count("\n") + 1, 16)
        given = f'name="body" data-in="body" data-key="{escape(call.key)}" rows="{rows}" spellcheck="false"'
        yield f"<label>Body<textarea {given}>{body}</textarea></label>"
    yield "<button>Send</button><output></output></form>"
    for language, text in (("curl", curl(call)), ("Python", python(call, docs.python_client))):
        yield f"<h3>{language}</h3><pre>{escape(text)}</pre>"


def _parameter(parameter: Schema) -> str:
    name, required = escape(parameter["name"]), parameter["required"]
    value = escape(str(parameter.get("example", "")) if required else "")
    rest = " required" if required else ""
    kind = "" if required else " <small>optional</small>"
    return f'<label>{name}{kind}<input name="{name}" data-in="{parameter["in"]}" value="{value}"{rest}></label>'


def login_section(document: Mapping[str, Any], docs: DocsSettings) -> Iterator[str]:
    """Renders how one becomes the caller of what follows: in the page, in a shell, and in Python.

    Renders nothing for an API to which nobody logs in.
    """
    wanted = document["components"]["securitySchemes"]["bearer"].get("x-token-operation")
    operations = ((verb, path, one) for path, verbs in document["paths"].items() for verb, one in verbs.items())
    found = next((each for each in operations if each[2]["operationId"] == wanted), None)
    call = None if found is None else example_of(*found)
    if found is None or call is None:
        return
    name = found[2]["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
    yield "<p>Requests that are tried below are sent by this caller.</p>"
    yield from _login_form(call, document["components"]["schemas"][name]["properties"], docs)
    yield "<details><summary>From a shell, and from Python</summary>"
    for language, text in token_commands(call):
        yield f'<h3>{language}</h3><pre class="origin">{escape(text)}</pre>'
    yield "</details>"


def _login_form(call: ExampleCall, properties: Schema, docs: DocsSettings) -> Iterator[str]:
    yield f'<form id="try-login" hidden data-verb="{call.verb}" data-path="{escape(call.template)}">'
    if docs.demo_logins:
        yield '<label>Demo account<select id="try-account"><option value="">none of them</option>'
        for name, body in docs.demo_logins.items():
            yield f'<option value="{escape(dumps(body))}">{escape(name)}</option>'
        yield "</select></label>"
    for name in call.body:
        kind = "password" if properties[name].get("format") == "password" else "text"
        given = f'name="{escape(name)}" type="{kind}" autocomplete="off" required'
        yield f"<label>{escape(name.capitalize())}<input {given}></label>"
    yield (
        '<div><button>Log in</button> <button type="button" id="try-logout">Log out</button></div>'
        f"<output>{_NOBODY}</output></form>"
    )
