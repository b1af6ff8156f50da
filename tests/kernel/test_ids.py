from souk.kernel.ids import new_id
from souk.testing.clocks import FakeClock


def test_an_id_has_its_prefix_and_26_characters() -> None:
    prefix, _, rest = new_id("ORD").partition("-")
    assert prefix == "ORD"
    assert len(rest) == 26
    assert set(rest) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_ids_sort_by_time() -> None:
    clock, ids = FakeClock(), []
    for _ in range(50):
        ids.append(new_id("X", clock))
        clock.advance(0.001)
    assert ids == sorted(ids)


def test_ids_do_not_repeat() -> None:
    clock = FakeClock()
    assert len({new_id("X", clock) for _ in range(1_000)}) == 1_000
