"""What a trace says: its tree, its critical path, and how it differs from another one."""

import random
from itertools import pairwise

import pytest

from souk.console.telemetry.traces.comparison import Difference, compare_traces
from souk.console.telemetry.traces.critical_path import critical_path, time_on_path
from souk.console.telemetry.traces.shown_trace import shown_trace
from souk.console.telemetry.traces.trace import TraceSpan, tree_of


def span(
    id_: str, parent: str, began: int, ended: int, *, service: str = "s", name: str = "", error: str = ""
) -> TraceSpan:
    return TraceSpan("t", id_, parent, "p", service, name or id_, "internal", began, ended - began, error, {})


def path(*spans: TraceSpan) -> list[tuple[str, int, int]]:
    return [(one.span_id, one.began, one.ended) for one in critical_path(tree_of(spans))]


ROOT = span("root", "", 0, 10_000)


def test_the_tree_has_parents_before_children_and_siblings_by_time() -> None:
    tree = tree_of([span("c", "root", 5_000, 6_000), span("a", "root", 0, 1), span("b", "a", 0, 1), ROOT])
    assert [(one.span_id, depth) for one, depth in tree.rows()] == [("root", 0), ("a", 1), ("b", 2), ("c", 1)]


def test_a_span_whose_parent_is_not_kept_is_an_orphan() -> None:
    tree = tree_of([span("root", "client", 0, 10), span("lost", "gone", 2, 3)])
    assert [one.span_id for one in tree.roots] == ["root", "lost"]
    assert [one.span_id for one in tree.orphans] == ["lost"]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_circle_of_parents_is_cut_once(length: int) -> None:
    circle = [span(str(one), str((one + 1) % length), one, 10) for one in range(length)]
    tree = tree_of([*circle, span("child", "0", 3, 4)])
    assert [one.span_id for one in tree.roots] == ["0"]
    assert sorted(one.span_id for one, _ in tree.rows()) == sorted([*map(str, range(length)), "child"])


def test_calls_one_after_the_other_are_all_waited_for() -> None:
    found = path(ROOT, span("a", "root", 1_000, 3_000), span("b", "root", 4_000, 9_000))
    assert found == [
        ("root", 0, 1_000), ("a", 1_000, 3_000), ("root", 3_000, 4_000), ("b", 4_000, 9_000), ("root", 9_000, 10_000),
    ]  # fmt: skip


def test_of_calls_beside_each_other_the_last_to_end_was_waited_for() -> None:
    found = path(ROOT, span("fast", "root", 1_000, 5_000), span("slow", "root", 1_000, 9_000))
    assert found == [("root", 0, 1_000), ("slow", 1_000, 9_000), ("root", 9_000, 10_000)]


def test_what_had_ended_before_the_last_one_began_was_waited_for_too() -> None:
    found = path(
        ROOT, span("a", "root", 0, 4_000), span("beside", "root", 2_000, 7_000), span("last", "root", 5_000, 10_000)
    )
    assert found == [("a", 0, 4_000), ("root", 4_000, 5_000), ("last", 5_000, 10_000)]


def test_a_child_that_outlives_its_parent_counts_to_the_parents_end() -> None:
    assert path(ROOT, span("a", "root", 8_000, 15_000)) == [("root", 0, 8_000), ("a", 8_000, 10_000)]


def test_what_began_after_its_parent_had_ended_was_not_waited_for() -> None:
    assert path(ROOT, span("event", "root", 11_000, 15_000)) == [("root", 0, 10_000)]


def test_clocks_that_differ_a_little_do_not_hide_a_call() -> None:
    found = path(ROOT, span("a", "root", 0, 5_050), span("b", "root", 5_000, 10_000))
    assert found == [("a", 0, 5_000), ("b", 5_000, 10_000)]


def test_the_path_goes_down() -> None:
    found = path(ROOT, span("a", "root", 0, 10_000), span("b", "a", 2_000, 8_000))
    assert found == [("a", 0, 2_000), ("b", 2_000, 8_000), ("a", 8_000, 10_000)]


@pytest.mark.parametrize("seed", range(30))
def test_the_path_covers_the_roots_time_exactly_once(seed: int) -> None:
    source = random.Random(seed)
    spans = [ROOT]
    for number in range(60):
        parent = source.choice(spans)
        began = source.randint(parent.began, parent.ended)
        spans.append(span(str(number), parent.span_id, began, began + source.randint(0, 6_000)))
    found = path(*spans)
    assert found[0][1] == ROOT.began
    assert found[-1][2] == ROOT.ended
    assert all(one[2] == after[1] for one, after in pairwise(found))
    assert sum(time_on_path(critical_path(tree_of(spans))).values()) == ROOT.took


def test_a_trace_of_many_levels_has_a_path() -> None:
    deep = [span(str(one), str(one - 1) if one else "", one, 20_000 - one) for one in range(5_000)]
    assert len({one for one, _, _ in path(*deep)}) == 5_000
    assert shown_trace(deep).spans[-1].depth == 4_999


def test_traces_are_compared_by_operation() -> None:
    before = [
        ROOT, span("a", "root", 0, 1_000, name="same"), span("b", "root", 1_000, 2_000, name="slow"),
        span("c", "root", 2_000, 3_000, name="gone"), span("d", "root", 3_000, 4_000, name="fails"),
    ]  # fmt: skip
    after = [
        ROOT, span("a", "root", 0, 1_000, name="same"), span("b", "root", 1_000, 7_000, name="slow"),
        span("c", "root", 7_000, 8_000, name="new"), span("d", "root", 3_000, 4_000, name="fails", error="x"),
    ]  # fmt: skip
    found = {one.name: one for one in compare_traces(tree_of(before), tree_of(after))}
    assert {name: one.difference for name, one in found.items()} == {
        "root": Difference.ALIKE, "same": Difference.ALIKE, "slow": Difference.SLOWER, "gone": Difference.MISSING,
        "new": Difference.NEW, "fails": Difference.FAILED,
    }  # fmt: skip
    assert (found["slow"].first.took, found["slow"].second.took) == (1_000, 6_000)
    assert next(iter(found)) == "slow"
