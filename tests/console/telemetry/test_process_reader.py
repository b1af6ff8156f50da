"""Reading one process, whatever it answers."""

from collections.abc import Iterable
from typing import Any

import pytest
from soukapi.v1 import fleet_pb2

from souk.console.telemetry.gathering.process_reader import READS, ProcessReader
from souk.console.telemetry.store.records import TelemetryBatch
from souk.testing.clocks import FakeClock
from tests.console.telemetry.made import NOW, SECOND, trace

Spans = fleet_pb2.ReadSpansResponse
Metrics = fleet_pb2.ReadMetricsResponse


class Scripted:
    """A stub whose answers are given; the last one is repeated."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    def _next(self) -> Any:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def ReadSpans(self, request: fleet_pb2.ReadSpansRequest) -> Spans:
        self.asked.append((request.ring, request.position))
        return self._next()

    async def ReadMetrics(self, request: fleet_pb2.ReadMetricsRequest) -> Metrics:
        return self._next()


def recorded(number: int, **fields: Any) -> fleet_pb2.RecordedSpan:
    made = {"trace_id": trace(number), "span_id": f"{number:016x}", "service": "order", "started": NOW, **fields}
    return fleet_pb2.RecordedSpan(**made)


def answer(*spans: fleet_pb2.RecordedSpan, ring: str = "r", position: int = 0, **fields: Any) -> Spans:
    return Spans(ring=ring, position=position, spans=spans, **fields)


def reader(known: dict[str, int] | None = None) -> ProcessReader:
    return ProcessReader("order-1", "order", FakeClock(now=NOW), known or {})


async def read(one: ProcessReader, *answers: Spans, rounds: int = 1) -> tuple[TelemetryBatch, Scripted]:
    stub, batch = Scripted(*answers), TelemetryBatch()
    for _ in range(rounds):
        await one.read_spans(stub, batch)  # type: ignore[arg-type]
    return batch, stub


async def test_it_goes_on_where_it_was() -> None:
    batch, stub = await read(
        reader(), answer(recorded(1), position=1, more=True), answer(recorded(2), position=2), rounds=2
    )
    assert stub.asked == [("", 0), ("r", 1), ("r", 2)]
    assert [one.trace_id for one in batch.spans][:2] == [trace(1), trace(2)]
    assert batch.positions["r"].position == 2


async def test_a_process_that_was_started_again_is_read_from_its_beginning() -> None:
    one = reader()
    await read(one, answer(recorded(1), position=900))
    batch, stub = await read(one, answer(recorded(2), ring="s", position=1))
    assert stub.asked == [("r", 900)]
    assert (batch.positions["s"].position, "r" in batch.positions) == (1, False)


async def test_what_another_gateway_has_read_is_not_read_again() -> None:
    batch, stub = await read(
        reader({"r": 50}), answer(recorded(1), position=60, lost=9), answer(recorded(2), position=60)
    )
    assert stub.asked == [("", 0), ("r", 50)]
    assert [one.trace_id for one in batch.spans] == [trace(2)]
    assert batch.positions["r"].lost == 0


async def test_what_was_lost_is_added_up() -> None:
    batch, _ = await read(
        reader(), answer(recorded(1), position=1, lost=3, more=True), answer(recorded(2), position=2, lost=4)
    )
    assert batch.positions["r"].lost == 7


@pytest.mark.parametrize(
    "lie",
    [
        answer(recorded(1), position=0, more=True),
        answer(recorded(1), position=-7, lost=-7, more=True),
        answer(recorded(1), position=1 << 62, lost=1 << 62, more=True),
        answer(position=5, more=True),
        answer(recorded(1, trace_id="zz"), recorded(2, span_id=""), recorded(3, trace_id="0" * 32), position=3),
    ],
)
async def test_one_that_lies_about_its_position_ends_nothing(lie: Spans) -> None:
    batch, stub = await read(reader(), lie, rounds=3)
    assert len(stub.asked) <= 3 * READS
    for one in batch.positions.values():
        assert one.position >= 0
        assert 0 <= one.lost < 1 << 50
    assert all(one.trace_id == trace(1) for one in batch.spans)


async def test_what_makes_no_sense_is_cut() -> None:
    wrong = recorded(
        1, name="x" * 10_000, started=1 << 62, took=-5, kind=77, parent_id="?", attributes="[1]", links=["no", "x" * 99]
    )
    batch, _ = await read(reader(), answer(wrong, recorded(2, attributes="{" * 5_000), position=2))
    one, two = batch.spans
    assert (len(one.name), one.took, one.kind, one.parent_id, one.attributes, one.links) == (300, 0, 0, "", "{}", "")
    assert one.began <= NOW + 60 * SECOND
    assert two.attributes == "{}"


def family(values: Iterable[float], name: str = "souk_things") -> fleet_pb2.MetricFamily:
    series = [fleet_pb2.MetricSeries(labels=[str(number)], value=value) for number, value in enumerate(values)]
    return fleet_pb2.MetricFamily(name=name, type="counter", help="Things.", labels=["kind"], series=series)


async def figures(one: ProcessReader, *answers: Metrics) -> list[list[tuple[str, float]]]:
    stub, batch = Scripted(*answers), TelemetryBatch()
    for _ in answers:
        await one.read_figures(stub, batch)  # type: ignore[arg-type]
    return [[(point.labels, point.value) for point in scrape.points] for scrape in batch.scrapes]


async def test_only_figures_that_have_changed_are_kept() -> None:
    first, second = Metrics(epoch="e", families=[family([1, 2])]), Metrics(epoch="e", families=[family([1, 3])])
    assert await figures(reader(), first, second) == [
        [('{"kind":"0"}', 1.0), ('{"kind":"1"}', 2.0)],
        [('{"kind":"1"}', 3.0)],
    ]


async def test_a_process_that_was_started_again_says_all_of_its_figures() -> None:
    same = [family([1])]
    found = await figures(reader(), Metrics(epoch="e", families=same), Metrics(epoch="f", families=same))
    assert found == [[('{"kind":"0"}', 1.0)], [('{"kind":"0"}', 1.0)]]


async def test_figures_that_are_no_numbers_and_series_without_end_are_left_out() -> None:
    wrong = Metrics(epoch="e", families=[family([float("nan"), 1.0]), family(range(9_000), "many")])
    (found,) = await figures(reader(), wrong)
    assert len(found) == 4_999
