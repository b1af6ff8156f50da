"""Contracts: generate code, check drift, lint, and refuse breaking changes.

python tools/contracts.py generate   writes contracts/gen from the .proto files: code, and comments as data;
                                     after a mistake contracts/gen is as it was
python tools/contracts.py check      fails when contracts/gen is not what the .proto files give,
                                     when buf's lint objects, or when a change breaks baseline.binpb
python tools/contracts.py baseline   accepts the contracts as they are as the new baseline
"""

import filecmp
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import code_pb2
from proto_comments import by_package

ROOT = Path(__file__).resolve().parent.parent / "contracts"
GENERATED = ROOT / "gen"
BASELINE = ROOT / "baseline.binpb"
COMMENTS = "comments.json"
EXAMPLES = "examples.json"
ASIDE = ".gen-"
INTERRUPTED = 130


class WrongContract(Exception):
    """protoc refuses the contracts; the message has a line for each mistake that it reports."""


def _protoc(*arguments: str) -> None:
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("s*/**/*.proto"))
    includes = [str(ROOT), str(files("grpc_tools") / "_proto"), str(Path(code_pb2.__file__).parents[2])]
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in includes)]
    done = subprocess.run([*command, *arguments, *sources], check=False, cwd=ROOT, text=True, stderr=subprocess.PIPE)
    if done.returncode:
        raise WrongContract(_mistakes(done.stderr))


def _mistakes(output: str) -> str:
    """Gives the lines of protoc's output that are not warnings, with paths from the top of the repository."""
    lines = output.replace(f"{ROOT.parent}/", "").splitlines()
    return "\n".join(line for line in lines if line.strip() and ": warning: " not in line)


def generate(into: Path) -> None:
    """Writes messages, stubs, their type information and the contracts' comments below `into`, an empty folder.

    Raises WrongContract.
    """
    plugins = Path(sys.executable).parent
    _protoc(
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        *(f"--{kind}={into}" for kind in ("python_out", "grpc_python_out")),
        *(f"--{kind}=quiet:{into}" for kind in ("mypy_out", "mypy_grpc_out")),
    )
    for package in {path.parent for path in into.rglob("*.py")}:
        for folder in (package, *package.parents):
            if folder == into:
                break
            (folder / "__init__.py").touch()
            (folder / "py.typed").touch()
    _write_comments(into)
    for file in ROOT.glob(f"s*/{EXAMPLES}"):
        shutil.copy(file, into / file.parent.name / EXAMPLES)


def _write_comments(into: Path) -> None:
    """Writes one file for each top-level package, sorted, so that a change of the contracts gives a small diff."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        _protoc("--include_source_info", f"--descriptor_set_out={image}")
        found = by_package(FileDescriptorSet.FromString(image.read_bytes()))
    for package, comments in found.items():
        text = json.dumps(comments, ensure_ascii=False, indent=1, sort_keys=True)
        (into / package / COMMENTS).write_text(text + "\n", encoding="utf-8")


def replace_generated() -> None:
    """Generates into a folder beside contracts/gen and, if all went well, replaces contracts/gen by it."""
    for left in ROOT.glob(f"{ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=ROOT))
    try:
        fresh, before = aside / "new", aside / "old"
        fresh.mkdir()
        generate(fresh)
        if GENERATED.exists():
            GENERATED.rename(before)
        try:
            fresh.rename(GENERATED)
        except BaseException:
            if before.exists() and not GENERATED.exists():
                before.rename(GENERATED)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _image(path: Path) -> Path:
    _protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={path}")
    return path


def _buf(*arguments: str) -> None:
    subprocess.run([str(Path(sys.executable).parent / "buf"), *arguments], check=True, cwd=ROOT)


def check() -> int:
    """Checks the contracts; prints what is wrong, and returns how many things are."""
    with tempfile.TemporaryDirectory() as folder:
        fresh, image = Path(folder) / "gen", _image(Path(folder) / "image.binpb")
        fresh.mkdir()
        generate(fresh)
        drift = sorted(_drift(fresh))
        for name in drift:
            print(f"generated code differs from its contract: {name} (run `make proto`)", file=sys.stderr)
        config = str(ROOT / "buf.yaml")
        try:
            _buf("lint", str(image), "--config", config)
            _buf("breaking", str(image), "--against", str(BASELINE), "--config", config, "--exclude-imports")
        except subprocess.CalledProcessError:
            return len(drift) + 1
        return len(drift)


def _drift(fresh: Path) -> set[str]:
    names = {
        str(path.relative_to(base))
        for base in (fresh, GENERATED)
        for pattern in ("*.py*", COMMENTS, EXAMPLES)
        for path in base.rglob(pattern)
        if path.suffix != ".pyc"
    }
    _, different, missing = filecmp.cmpfiles(fresh, GENERATED, sorted(names), shallow=False)
    return {*different, *missing}


def run(arguments: list[str]) -> int:
    """Runs a command of this tool; returns the exit status."""
    match arguments:
        case ["generate"]:
            replace_generated()
        case ["baseline"]:
            _image(BASELINE)
        case ["check"]:
            return 1 if check() else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def main() -> int:
    """Runs the command line; returns the exit status. Prints a line for each mistake in a contract."""
    try:
        return run(sys.argv[1:])
    except WrongContract as mistakes:
        print(mistakes, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; contracts/gen is as it was", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
