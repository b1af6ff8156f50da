"""Counts how the code is divided, and prints one table.

    python tools/structure.py                      this checkout
    python tools/structure.py ../before .          two checkouts side by side
    python tools/structure.py --json               the same as JSON

Lines are those of a file as it stands, comments and empty lines included. Generated code is left out everywhere;
`souk/testing`, which only tests import, has rows of its own and is part of no total.
"""

import argparse
import ast
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
TOPS = ("souk", "marketplace")
TESTING = "souk.testing"
FOLDER = 3
"""As many files of one prefix are a folder."""
GENERATED = ("_pb2.py", "_pb2_grpc.py")
WALK = re.compile(r"^## (The way of .+)$", re.MULTILINE)
LINK = re.compile(r"\]\(\.\./([\w/.-]+\.(?:py|proto))\)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of code."""

    name: str
    path: Path
    text: str

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @property
    def package(self) -> str:
        """The first two parts of its name: `souk.rpc`, `marketplace.order`."""
        return ".".join(self.name.split(".")[:2])

    def functions(self) -> Iterator[int]:
        """Gives the number of lines of each function."""
        for node in self.nodes:
            if isinstance(node, Function):
                yield (node.end_lineno or node.lineno) - node.lineno + 1

    def classes(self) -> Iterator[str]:
        """Gives the names of its public and private classes, at every depth."""
        return (node.name for node in self.nodes if isinstance(node, ast.ClassDef))

    def imports(self, known: dict[str, "Module"]) -> set[str]:
        """Gives the names of the modules of the same checkout that it imports."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found.update((inner & known.keys()) or {node.module})
        return (found & known.keys()) - {self.name}


class Tree:
    """The code of one checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        paths = [path for top in TOPS for path in sorted((root / top).rglob("*.py"))]
        modules = [_module(root, path) for path in paths if not path.name.endswith(GENERATED)]
        self.modules = {module.name: module for module in modules}
        self.imports = {name: module.imports(self.modules) for name, module in self.modules.items()}

    def within(self, *prefixes: str) -> list[Module]:
        """Gives the modules under one of the prefixes; those of `souk.testing` only if it is one of the prefixes."""
        return [
            module
            for name, module in self.modules.items()
            if any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)
            and (TESTING in prefixes or not f"{name}.".startswith(f"{TESTING}."))
        ]

    def circles(self) -> list[list[str]]:
        """Gives the import cycles: groups of files each of which imports each other one, directly or through others."""
        return [sorted(group) for group in _components(self.imports) if len(group) > 1]

    def walks(self) -> dict[str, list[Path]]:
        """Gives the files that each walk of docs/map.md leads through, in order."""
        text = (self.root / "docs" / "map.md").read_text()
        parts = WALK.split(text)[1:]
        titles, bodies = parts[::2], [body.split("\n## ")[0] for body in parts[1::2]]
        return {
            title: list(dict.fromkeys(self.root / path for path in LINK.findall(body)))
            for title, body in zip(titles, bodies, strict=True)
        }


def _module(root: Path, path: Path) -> Module:
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, path.read_text())


def _components(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Gives the strongly connected components of a graph, by Tarjan's algorithm without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for root in graph:
        work = [] if root in index else [(root, iter(graph[root]))]
        while work:
            node, successors = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
            for successor in successors:
                if successor not in index:
                    work.append((successor, iter(graph[successor])))
                    break
                if successor in stack:
                    low[node] = min(low[node], low[successor])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    yield set(stack[cut:])
                    del stack[cut:]


def spread(figures: Iterable[int]) -> str:
    """Gives the median, the 90th percentile and the largest figure, as `5 / 14 / 36`."""
    ranked = sorted(figures)
    if not ranked:
        return "-"
    return f"{median(ranked):g} / {ranked[min(len(ranked) * 9 // 10, len(ranked) - 1)]} / {ranked[-1]}"


def class_names_twice(tree: Tree) -> dict[str, list[str]]:
    """Gives the class names that are defined more than once in souk, with their files."""
    files: dict[str, list[str]] = defaultdict(list)
    for module in tree.within("souk"):
        for name in module.classes():
            files[name].append(module.path.relative_to(tree.root).as_posix())
    return {name: paths for name, paths in sorted(files.items()) if len(paths) > 1}


def files_of_one_prefix(tree: Tree) -> dict[str, list[str]]:
    """Gives the files that should be a folder, by their common prefix: three or more in one folder, `souk/testing`
    included.

    The prefix is the word before the first underscore, or the whole name: `breaker.py` is one with `breaker_states.py`.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for module in tree.modules.values():
        prefix = module.path.stem.partition("_")[0]
        if prefix:  # not __init__ and __main__
            folder = module.path.parent.relative_to(tree.root)
            groups[f"{folder.as_posix()}/{prefix}"].append(module.path.name)
    return {group: sorted(files) for group, files in sorted(groups.items()) if len(files) >= FOLDER}


def platform_modules(tree: Tree) -> list[str]:
    """Gives the modules of the platform that services import; the app, which lists the services, does not count."""
    services = [module for module in tree.within("marketplace") if module.package != "marketplace.app"]
    found = {name for module in services for name in tree.imports[module.name] if name.startswith("souk")}
    return sorted(found)


def fullest_folder(tree: Tree) -> tuple[str, int]:
    """Gives the folder with the most files, and their number; `souk/testing` is left out."""
    folders = Counter(module.path.parent for module in tree.within(*TOPS))
    folder, files = folders.most_common(1)[0]
    return folder.relative_to(tree.root).as_posix(), files


def _share(tree: Tree, top: str) -> str:
    modules = tree.within(top)
    return f"{sum(len(tree.imports[module.name]) for module in modules) / max(len(modules), 1):.1f}"


def rows(tree: Tree) -> dict[str, str]:
    """Gives every figure of a checkout, by its name."""
    found: dict[str, str] = {}
    for top in TOPS:
        modules = tree.within(top)
        found[f"{top}: files"] = str(len(modules))
        found[f"{top}: lines of a file, median / p90 / max"] = spread(module.lines for module in modules)
        found[f"{top}: lines of a function, median / p90 / max"] = spread(
            lines for module in modules for lines in module.functions()
        )
        found[f"{top}: imports of the project a file"] = _share(tree, top)
    packages = sorted({module.package for module in tree.modules.values() if "." in module.name})
    for package in packages:
        modules = tree.within(package)
        found[f"  {package}: files; lines"] = f"{len(modules)}; {spread(module.lines for module in modules)}"
    folder, files = fullest_folder(tree)
    found["most files in a folder"] = f"{files} ({folder})"
    found["folders with more than 16 files"] = str(
        sum(count > 16 for count in Counter(module.path.parent for module in tree.within(*TOPS)).values())
    )
    found["prefixes that should be folders"] = str(len(files_of_one_prefix(tree)))
    found["class names used twice in souk"] = str(len(class_names_twice(tree)))
    found["modules of the platform that services import"] = str(len(platform_modules(tree)))
    found["circles of files"] = str(len(tree.circles()))
    for title, paths in tree.walks().items():
        lines = sum(len(path.read_text().splitlines()) for path in paths)
        found[f"{title}: files; lines"] = f"{len(paths)}; {lines}"
    return found


def _table(columns: Sequence[tuple[str, dict[str, str]]]) -> str:
    names = list(dict.fromkeys(name for _, found in columns for name in found))
    lines = [["", *(title for title, _ in columns)]]
    lines += [[name, *(found.get(name, "-") for _, found in columns)] for name in names]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def main() -> int:
    """Prints the figures of each checkout in a column of its own; returns the exit status."""
    parser = argparse.ArgumentParser(description="Counts how the code is divided.")
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT], help="this one if none is given")
    parser.add_argument("--json", action="store_true", help="as JSON")
    arguments = parser.parse_args()
    for path in arguments.checkouts:
        if not (path / "souk").is_dir():
            parser.error(f"{path} is no checkout of Souk: it has no folder souk")
    columns = [(path.resolve().name, rows(Tree(path.resolve()))) for path in arguments.checkouts]
    print(json.dumps(dict(columns), indent=2) if arguments.json else _table(columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
