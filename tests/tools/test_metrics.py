"""What a process can show: named by Prometheus' conventions, documented, and the only metrics that rules ask for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "metrics"
sys.path.insert(0, str(TOOL))
from catalogue import catalogue  # noqa: E402 - a tool, not a package
from page import LABELS  # noqa: E402
from promql import KnownMetrics, UnknownName, names  # noqa: E402

METRICS = catalogue()
NAME = re.compile(r"souk(_[a-z][a-z0-9]*)+")
OTHER_UNITS = re.compile(r"_(ms|milliseconds|minutes|hours|kb|mb|megabytes|kilobytes|percent|ratio_percent)(_|$)")
TIME = re.compile(r"_(lag|age|delay|duration|latency|skew|seconds)(_|$)")
SIZE = re.compile(r"_(size|memory|bytes)(_|$)")
LITERAL = re.compile(r'"(souk_[a-z_]+)"')
MAKES_METRICS = re.compile(r"prometheus_client|telemetry\.(metrics|latencies)|MeasuredAtScrape|counter\(")
"""Found in every file that makes metrics; elsewhere such names are those of channels, locks and functions."""


def test_the_documents_are_what_the_code_gives() -> None:
    done = subprocess.run([sys.executable, str(TOOL), "check"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("one", METRICS, ids=lambda one: one.name)
def test_names_units_labels_and_texts(one) -> None:  # type: ignore[no-untyped-def]  # the tool's class has no stub
    assert NAME.fullmatch(one.name)
    assert one.name.endswith("_total") == (one.type == "counter")
    assert not OTHER_UNITS.search(one.name), "units are seconds and bytes"
    assert not TIME.search(one.name) or one.name.endswith("_seconds")
    assert not SIZE.search(one.name) or one.name.endswith("_bytes")
    assert one.type != "histogram" or one.name.endswith("_seconds")
    assert one.help[0].isupper() or one.help[0].isdigit()
    assert one.help.endswith(".")
    assert set(one.labels) <= LABELS.keys(), "a label has few values, and docs/metrics.md says which"


def test_every_metric_of_the_code_is_among_them() -> None:
    listed = {one.name.removesuffix("_total") for one in METRICS}
    used = {
        name.removesuffix("_total")
        for folder in ("souk", "marketplace")
        for path in (ROOT / folder).rglob("*.py")
        if "testing" not in path.parts
        for name in LITERAL.findall(text(path))
    }
    assert used == listed


def text(path: Path) -> str:
    found = path.read_text()
    return found if MAKES_METRICS.search(found) else ""


def test_what_an_expression_names() -> None:
    asked = (
        'sum by (callee, le) (rate(souk_a_bucket{outcome=~"x{y}=z", le!="1"}[5m] offset 1h))'
        " / on (job) group_left () up > bool 2"
    )
    assert names(asked) == ({"souk_a_bucket", "up"}, {"callee", "le", "outcome", "job"})


@pytest.mark.parametrize(
    ("expression", "text", "missing"),
    [
        ("rate(souk_call_second_count[5m])", "", "souk_call_second_count"),
        ("souk_call_seconds", "", "souk_call_seconds"),
        ('souk_call_seconds_count{service="order"}', "", "service"),
        ("sum by (le) (souk_call_seconds_count)", "", "le"),
        ("souk_saga_runs", "{{ $labels.callee }}", "callee"),
    ],
)
def test_what_does_not_exist_is_refused(expression: str, text: str, missing: str) -> None:
    known = KnownMetrics(METRICS)
    with pytest.raises(UnknownName, match=f"'{missing}'"):
        known.require(expression)
        known.require_text(expression, text)


def test_what_was_recorded_can_be_asked_for() -> None:
    known = KnownMetrics(METRICS)
    known.require("sum by (callee) (souk_call_seconds_count)", recorded="souk:calls:rate")
    known.require('souk:calls:rate{callee="order"}')
