"""The map as a real browser draws it, from the data of the page alone."""

import html
import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from souk.console.opening import PACKAGE
from souk.testing.engines import engine_path

pytestmark = pytest.mark.engines
STATIC = files(PACKAGE) / "static"
PATIENCE = 120.0


def node(name: str) -> dict[str, object]:
    return {"name": name, "kind": "service", "ready": 1, "instances": 1, "tone": "good", "notes": []}


def edge(caller: str, callee: str) -> dict[str, object]:
    return {
        "caller": caller,
        "callee": callee,
        "tone": "good",
        "events": True,
        "open": [],
        "notes": [],
        "rate": 1.0,
    } | {
        "failures": 0.0,
        "p99": None,
    }


def drawn(folder: Path, graph: object) -> str:
    """What a browser makes of a page with this graph."""
    scripts = "".join(
        f"<script>{one.read_text()}</script>" for one in (STATIC / "vendor" / "dagre.min.js", STATIC / "map.js")
    )
    page = folder / "map.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><div id="map" data-graph="{html.escape(json.dumps(graph))}"></div>'
        f"{scripts}"
    )
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom")
    command = (engine_path("chromium"), *options, page.as_uri())
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout


def test_what_a_service_calls_of_itself_begins_and_ends_at_its_box(tmp_path: Path) -> None:
    found = drawn(
        tmp_path,
        {"nodes": [node("order"), node("product")], "edges": [edge("product", "product"), edge("product", "order")]},
    )
    boxes = re.findall(r'<g class="node [^"]*" transform="translate\(([-\d.]+),([-\d.]+)\)"[^>]*><title>(\w+)', found)
    left, top = next((float(x), float(y)) for x, y, name in boxes if name == "product")
    path = next(
        d for d, title in re.findall(r'<path d="([^"]+)"[^>]*><title>([^<]+)', found) if "product → product" in title
    )
    numbers = [float(one) for one in re.findall(r"-?[\d.]+", path)]
    for x, y in ((numbers[0], numbers[1]), (numbers[-2], numbers[-1])):
        assert left < x < left + 164, path
        assert y == top, path
    assert min(numbers[1::2]) >= 0, "it leaves the picture"
