"""What the console serves besides its pages: small, as its vendors made it, and under names that change with it."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

from souk.console.assets import Assets
from souk.console.opening import PACKAGE, asset_folders

STATIC = files(PACKAGE) / "static"
VENDOR = STATIC / "vendor"
NAMES = [
    one.name for folder in asset_folders() for one in folder.iterdir() if one.name.endswith((".js", ".css", ".svg"))
]


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets("/a", *asset_folders())


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_all_of_it_is_less_than_100_kb_as_served(assets: Assets, encoding: str) -> None:
    sizes = {}
    for name in NAMES:
        answer = assets.answer(assets.url(name).removeprefix("/a/"), encoding)
        assert answer is not None
        assert (b"content-encoding", encoding.encode()) in answer.headers
        sizes[name] = len(answer.body)
    assert sum(sizes.values()) < 100_000, sizes


def test_vendored_files_are_those_of_their_packages() -> None:
    listed = dict(
        re.findall(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text(), re.MULTILINE)
    )
    found = {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in VENDOR.iterdir()
        if one.name.endswith((".js", ".css"))
    }
    assert listed == found


def test_a_name_changes_with_what_is_in_the_file(tmp_path: Path) -> None:
    urls = []
    for text in ("a {}", "b {}"):
        (tmp_path / "x.css").write_text(text)
        urls.append(Assets("/a", tmp_path).url("x.css"))
    assert urls[0] != urls[1]
    assert Assets("/a", tmp_path).answer("x.css", "br") is None


def test_a_client_without_encodings_gets_it_plain(assets: Assets) -> None:
    answer = assets.answer(assets.url("htmx.min.js").removeprefix("/a/"), "")
    assert answer is not None
    assert answer.body == (VENDOR / "htmx.min.js").read_bytes()
