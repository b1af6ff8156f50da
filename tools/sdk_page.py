"""Writes docs/sdk.md: what a service may import of the platform, from `souk.sdk` and its docstrings.

python tools/sdk_page.py [check]     check: fails when the page is not what the code gives
"""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sdk.md"
MODULES = ("souk.sdk", "souk.sdk.emulator")
INTRODUCTION = """# The SDK

A service imports `souk.sdk` and nothing else of the platform, besides generated contracts such as `soukapi.v1`: the
contract `sdk` in `.importlinter` holds that in `make test`. Its tests may import `souk.testing`. What is not on this
page may change without notice. `make sdk` writes the page from the code, so that a change of one shows in the other.
"""
FOREIGN = {
    "Collector": "Gives metrics when it is asked for them: `prometheus_client.registry.Collector`.",
    "Event": "The message `soukapi.v1.Event`: who tells of what and when, and the payload, unopened.",
}
"""The meanings of names that come from other projects or generated code."""
_THEME = re.compile(r"^    # (.+)$")
_NAME = re.compile(r'^    "(\w+)",$')


def themes(module: ModuleType) -> Iterator[tuple[str, list[str]]]:
    """Gives the themes of a module's `__all__`, which are comments in it, each with its names."""
    theme, names = "", []
    listed = inspect.getsource(module).partition("__all__ = [")[2]
    for line in listed.splitlines():
        if (found := _THEME.match(line)) is not None:
            if names:
                yield theme, names
            theme, names = found[1], []
        elif (found := _NAME.match(line)) is not None:
            names.append(found[1])
    yield theme, names


def described(module: ModuleType, name: str) -> tuple[str, str]:
    """Gives how a name is used, and the first paragraph of its docstring."""
    thing = getattr(module, name)
    if name in FOREIGN:
        return f"class {name}", FOREIGN[name]
    if inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing):
        return _usage(name, thing), _first_paragraph(_docstring(thing))
    return name, _first_paragraph(_constant_docstring(module, name))


def _usage(name: str, thing: object) -> str:
    if inspect.isclass(thing):
        return f"class {name}"
    if inspect.ismodule(thing):
        return f"module {name}"
    parameters = inspect.signature(thing).parameters  # type: ignore[arg-type]  # a function, as its caller has seen
    return f"{'await ' if inspect.iscoroutinefunction(thing) else ''}{name}({', '.join(parameters)})"


def _docstring(thing: object) -> str:
    # Not inspect.getdoc, which would give the docstring of a parent class.
    text = getattr(thing, "__doc__", None) or ""
    return "" if text.startswith(f"{getattr(thing, '__name__', '')}(") else inspect.cleandoc(text)


def _constant_docstring(module: ModuleType, name: str) -> str:
    """Gives the text below a name's assignment, in the module that assigns it."""
    for line in ast.parse(inspect.getsource(module)).body:
        if isinstance(line, ast.ImportFrom) and name in {alias.name for alias in line.names} and line.module:
            return _below(importlib.import_module(line.module), name)
    return _below(module, name)


def _below(module: ModuleType, name: str) -> str:
    body = ast.parse(inspect.getsource(module)).body
    for line, text in pairwise(body):
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            return inspect.cleandoc(str(text.value.value))
    return ""


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def undocumented() -> list[str]:
    """Gives the names of the surface that have no docstring."""
    found = []
    for path in MODULES:
        module = importlib.import_module(path)
        found += [f"{path}.{name}" for name in module.__all__ if not described(module, name)[1]]
    return found


def page() -> str:
    """Makes the text of the page."""
    lines = [INTRODUCTION]
    for path in MODULES:
        module = importlib.import_module(path)
        lines.append(f"## `{path}`\n\n{_first_paragraph(module.__doc__ or '')}\n")
        for theme, names in themes(module):
            lines += [f"### {theme}"] if theme else []
            lines += ["| name | meaning |", "|---|---|"]
            lines += [f"| `{usage}` | {text} |" for usage, text in (described(module, name) for name in names)]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Writes or checks the page; returns the exit status."""
    if sys.argv[1:] == ["check"]:
        if PAGE.read_text("utf-8") == page():
            return 0
        print("docs/sdk.md is not what the code gives (run `make sdk`)", file=sys.stderr)
        return 1
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
