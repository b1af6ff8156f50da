"""`souk new service`: makes the first draft of a new service, which builds, runs and has tests."""

import keyword
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import click

from souk.cli.group import example
from souk.cli.output.terminal import print_line
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9]{1,14}")
_ENGINES = frozenset({"postgres", "redis", "valkey", "bus", "registry"})
_TAKEN = _ENGINES | {"app", GATEWAY_SERVICE, "souk", "marketplace", "shop"}
_APP = Path("marketplace/app/app.py")
_APP_PROJECT = Path("marketplace/app/pyproject.toml")
_FLOORS = Path(".importlinter")
_WIDTH = 120


@click.group()
def new() -> None:
    """Creates a new service."""


@new.command(epilog=example("souk new service greeting\nmake proto"))
@click.argument("name")
def service(name: str) -> None:
    """Creates the service NAME in the current checkout of the marketplace.

    It has a contract with two routes, a package with a database, tests, and its entries in the app and in the import
    rules. `make proto` then generates its code and installs it, and `souk up` serves it. Change all of it to what
    your service is about; CONTRIBUTING.md says what belongs where.
    """
    root = _checkout(Path.cwd())
    _require_free(root, name)
    words = _words(name)
    made = {root / path: text for path, text in _files(words)}
    changed = {root / path: text for path, text in _entries(root, name)}
    for path, text in (made | changed).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in sorted(made):
        print_line(f"made     {path.relative_to(root)}")
    for path in sorted(changed):
        print_line(f"changed  {path.relative_to(root)}")
    print_line(
        f"next: `make proto` generates its code and installs it; then `souk up --demo` serves /api/v1/{words['plural']}"
    )


def _checkout(start: Path) -> Path:
    for folder in (start, *start.parents):
        if all((folder / path).is_file() for path in (_APP, _APP_PROJECT, _FLOORS)):
            return folder
    raise ConfigurationError(
        f"{start} is not inside a checkout of the marketplace: a new service is added to its app, contracts and "
        "import rules, so go to a clone of the repository and ask again"
    )


def _require_free(root: Path, name: str) -> None:
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name) or name in _TAKEN:
        raise ConfigurationError(
            f"{name!r} cannot name a service: use 2 to 15 small letters and digits, a letter first, and no word that "
            f"Python or Souk uses, such as {', '.join(sorted(_TAKEN)[:3])}"
        )
    for path in (root / "marketplace" / name, root / "contracts" / "shop" / name):
        if path.exists():
            raise ConfigurationError(f"{path.relative_to(root)} already exists: choose another name, or remove it")


def _words(name: str) -> Mapping[str, str]:
    return {
        "name": name,
        "Name": name.capitalize(),
        "NAME": name.upper(),
        "ID": name[:4].upper(),
        "plural": name if name.endswith("s") else f"{name}s",
        "version": version("souk-platform"),
    }


def _files(words: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    name = words["name"]
    targets = {
        "contract.proto.tmpl": Path("contracts/shop") / name / "v1" / f"{name}.proto",
        "package": Path("marketplace") / name,
        "tests": Path("tests/marketplace") / name,
    }
    top = files("souk.cli") / "templates" / "service"
    for entry, target in targets.items():
        for inner, template in _templates(top / entry, target):
            path = Path(str(inner).removesuffix(".tmpl").replace("NAME", name))
            yield path, Template(template).safe_substitute(words)


def _templates(entry: Traversable, target: Path) -> Iterator[tuple[Path, str]]:
    if entry.is_file():
        yield target, entry.read_text("utf-8")
        return
    for inner in entry.iterdir():
        yield from _templates(inner, target / inner.name)


def _entries(root: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Gives the texts of the app, its project file and the import rules, with the new service added."""
    yield _APP, _in_app((root / _APP).read_text("utf-8"), name)
    yield _APP_PROJECT, _in_project((root / _APP_PROJECT).read_text("utf-8"), name)
    yield _FLOORS, _in_floors((root / _FLOORS).read_text("utf-8"), name)


def _in_app(text: str, name: str) -> str:
    imports = re.findall(r"^from marketplace\.[\w.]+ import [^\n(]+\n", text, re.MULTILINE)
    listed = re.search(r"^    services=\(([^)]*)\),\n", text, re.MULTILINE)
    if not imports or listed is None:
        raise ConfigurationError(f"{_APP} does not list its services as it did: add {name} to it by hand")
    new_import = f"from marketplace.{name}.service import service as {name}\n"
    sorted_imports = "".join(sorted({*imports, new_import}))
    names = [one.strip() for one in listed[1].split(",") if one.strip()] + [name]
    line = f"    services=({', '.join(names)}),\n"
    if len(line) > _WIDTH:
        line = "    services=(\n" + "".join(f"        {one},\n" for one in names) + "    ),\n"
    text = text.replace(listed[0], line)
    return text.replace("".join(imports), sorted_imports)


def _in_project(text: str, name: str) -> str:
    before = re.findall(r'^    "souk-marketplace-\w+",\n', text, re.MULTILINE)
    return text.replace("".join(before), "".join(sorted({*before, f'    "souk-marketplace-{name}",\n'})))


def _in_floors(text: str, name: str) -> str:
    """Adds the service at the end of each list of services, and to the layer of the services."""
    text = re.sub(r"((?:^    marketplace\.\w+\n)+)", rf"\1    marketplace.{name}\n", text, flags=re.MULTILINE)
    layer = r"(\[importlinter:contract:app\]\n(?:(?!\[).*\n)*?    app\n    \w+(?: \| \w+)*)\n"
    return re.sub(layer, rf"\1 | {name}\n", text)
