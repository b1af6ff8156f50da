"""The code stays divided as docs/map.md says: unique class names, folders of a good size, no circle, one surface."""

import ast
import configparser
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_FILES = 16
pytestmark = pytest.mark.xdist_group("the code")  # is parsed once


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", ROOT / "tools" / "structure.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


STRUCTURE = _load()


@pytest.fixture(scope="module")
def tree() -> object:
    return STRUCTURE.Tree(ROOT)


def test_no_class_name_stands_twice(tree: object) -> None:
    assert STRUCTURE.class_names_twice(tree) == {}


def test_no_folder_has_too_many_files(tree: object) -> None:
    folders = Counter(module.path.parent.relative_to(ROOT) for module in tree.within("souk", "marketplace"))  # type: ignore[attr-defined]  # loaded by its path
    assert {folder: files for folder, files in folders.items() if files > MOST_FILES} == {}


def test_three_files_of_one_prefix_are_a_folder(tree: object) -> None:
    assert STRUCTURE.files_of_one_prefix(tree) == {}


def test_what_is_a_prefix(tmp_path: Path) -> None:
    files = ("souk/a/b.py", "souk/a/b_c.py", "souk/a/b_d.py", "souk/a/bc_e.py", "souk/b_f.py", "marketplace/a/b_g.py")
    for file in (*files, "souk/a/__init__.py", "souk/a/__main__.py", "souk/a/_b.py", "souk/a/b_h_pb2.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = STRUCTURE.files_of_one_prefix(STRUCTURE.Tree(tmp_path))
    assert found == {"souk/a/b": ["b.py", "b_c.py", "b_d.py"]}


def test_no_file_imports_itself_through_others(tree: object) -> None:
    assert tree.circles() == []  # type: ignore[attr-defined]  # loaded by its path


def test_services_import_the_sdk_alone(tree: object) -> None:
    assert {name.partition(".emulator")[0] for name in STRUCTURE.platform_modules(tree)} == {"souk.sdk"}


def test_import_linter_forbids_services_every_other_package() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    forbidden = set(contracts["importlinter:contract:sdk"]["forbidden_modules"].split())
    parts = {path.stem for path in (ROOT / "souk").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert forbidden == {f"souk.{name}" for name in parts - {"__init__", "sdk"}}


def test_use_cases_and_stores_answer_in_the_words_of_their_service() -> None:
    inner = [
        path for part in ("use_cases", "store", "domain") for path in (ROOT / "marketplace").glob(f"*/{part}/*.py")
    ]
    assert len(inner) > 50
    assert [answer for path in inner for answer in _answers_of_a_contract(path)] == []


def _answers_of_a_contract(path: Path) -> Iterator[str]:
    """Gives the functions that return a message of a contract."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imports = (node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shop."))
    messages = {alias.asname or alias.name for node in imports for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            names = {name.id for name in ast.walk(node.returns) if isinstance(name, ast.Name)}
            if names & messages:
                yield f"{path.relative_to(ROOT)}: {node.name}"


def test_the_way_of_an_order_can_be_read_in_five_minutes(tree: object) -> None:
    paths = tree.walks()["The way of an order"]  # type: ignore[attr-defined]  # loaded by its path
    assert len(paths) <= 6
    assert sum(len(path.read_text().splitlines()) for path in paths) <= 900


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    found = [group for group in STRUCTURE._components(graph) if len(group) > 1]
    assert sorted(map(sorted, found)) == [["a", "b", "c"], ["d", "e"]]
