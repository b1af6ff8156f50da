"""The newest spans of a process, kept for whoever reads them."""

from souk.telemetry.traces import child_of
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.tracing.sampling import AtMostASecond, HeadSampler
from souk.telemetry.tracing.settings import TracingSettings, read_tracing
from souk.telemetry.tracing.span import SpanKind
from souk.telemetry.tracing.tracer import Tracer
from souk.telemetry.tracing.tracing import KeptSpans, open_tracing
from souk.testing.clocks import FakeClock


class World:
    def __init__(self, most: int = 4) -> None:
        self.clock, self.ring = FakeClock(), SpanRing(most)
        self.tracer = Tracer("order", read_tracing({}).sampler or HeadSampler(lambda _: True), self.clock, self.ring)

    def record(self, *names: str) -> None:
        for name in names:
            self.tracer.start(name, SpanKind.INTERNAL).end()

    def read(self, position: int = 0, ring: str | None = None, most: int = 10) -> tuple[list[str], int, int, bool]:
        found = self.ring.read(self.ring.id if ring is None else ring, position, most)
        return [one.name for one in found.spans], found.position, found.lost, found.more


def test_each_span_is_read_once_and_in_order() -> None:
    world = World()
    assert world.read() == ([], 0, 0, False)
    world.record("a", "b", "c")
    assert world.read(most=2) == (["a", "b"], 2, 0, True)
    assert world.read(2, most=2) == (["c"], 3, 0, False)
    assert world.read(3) == ([], 3, 0, False)


def test_what_was_pushed_out_before_it_was_read_is_counted() -> None:
    world = World()
    world.record(*"abcdefg")
    assert world.read(1) == (list("defg"), 7, 2, False)
    world.record(*"hi")
    assert world.read(7) == (["h", "i"], 9, 0, False)


def test_a_position_that_is_not_of_this_ring_begins_anew() -> None:
    world = World()
    world.record("a", "b")
    for position, ring in ((2, "another"), (99, None), (-1, None), (0, "")):
        assert world.read(position, ring) == (["a", "b"], 2, 0, False)


def test_asked_for_nothing_it_goes_nowhere() -> None:
    world = World()
    world.record("a")
    assert world.read(most=0) == ([], 0, 0, True)
    assert world.read(most=-5) == ([], 0, 0, True)


def test_so_many_traces_a_second_are_sampled_and_more_after_a_rest() -> None:
    clock = FakeClock()
    decide = AtMostASecond(2, clock, saved=3)
    taken = []
    for rest in (0.0, 1.0, 0.25, 0.25, 100.0):
        clock.advance(rest)
        taken.append(sum(decide("") for _ in range(10)))
    assert taken == [6, 2, 0, 1, 6]


def test_a_lasting_load_has_its_rate_recorded_and_no_more() -> None:
    clock = FakeClock()
    decide = AtMostASecond(5, clock, saved=20)
    taken = []
    for _ in range(60):
        taken.append(sum(decide("") for _ in range(150)))
        clock.advance(1.0)
    assert taken == [100] + [5] * 59


async def recorded(settings: TracingSettings, kept: KeptSpans | None) -> list[str]:
    clock = FakeClock()
    async with open_tracing(settings, clock, {}, kept) as tracing:
        if tracing is None or tracing.ring is None:
            return []
        tracer = tracing.tracer("order")
        for number in range(4):
            root = tracer.start(f"root {number}", SpanKind.SERVER)
            tracer.start(f"child {number}", SpanKind.CLIENT, root.traceparent).end("gone" if number == 3 else "")
            root.end()
        return [one.name for one in tracing.ring.read("", 0, 100).spans]


async def test_without_variables_some_traces_are_kept_and_those_that_failed() -> None:
    found = await recorded(read_tracing({}), KeptSpans(2, saved=1))
    assert found == ["child 0", "root 0", "child 1", "root 1", "child 3", "root 3"]


async def test_a_sampler_that_is_named_decides() -> None:
    found = await recorded(read_tracing({"OTEL_TRACES_SAMPLER": "always_off"}), KeptSpans(2, saved=1))
    assert found == ["child 3", "root 3"]


async def test_where_there_is_no_console_or_tracing_is_off_nothing_is_kept() -> None:
    assert await recorded(read_tracing({}), None) == []
    assert await recorded(read_tracing({"OTEL_SDK_DISABLED": "true"}), KeptSpans(2, saved=1)) == []


async def test_a_client_from_outside_cannot_have_everything_recorded() -> None:
    async with open_tracing(read_tracing({}), FakeClock(), {}, KeptSpans(2, saved=1)) as tracing:
        assert tracing is not None
        assert tracing.ring is not None
        for number in range(5):
            given = f"00-{number + 1:032x}-{'b' * 16}-01"
            here = child_of(given)
            span = tracing.tracer("gateway").start_at_edge(str(number), SpanKind.SERVER, here, given, {}, trusted=True)
            assert (span.trace_id, span.parent_id) == (given[3:35], "b" * 16)
            span.end()
        assert [one.name for one in tracing.ring.read("", 0, 100).spans] == ["0", "1"]
