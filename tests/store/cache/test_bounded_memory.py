"""What a cache keeps is bounded by octets, whatever is asked for."""

from random import Random

from souk.store.cache.bounded_memory import OVERHEAD, BoundedMemory

KIB = 1024


def test_a_flood_of_keys_takes_no_more_than_is_allowed() -> None:
    memory: BoundedMemory[int] = BoundedMemory(256 * KIB)
    chance = Random(1)
    kept: dict[bytes, int] = {}
    for number in range(20_000):
        key = b"key-%d" % chance.randrange(3_000) * chance.choice((1, 50))
        kept[key] = number
        memory.set(key, number, chance.choice((0, 10, 900, 20 * KIB)))
        found = memory.get(b"key-%d" % chance.randrange(3_000))
        assert found is None or found in kept.values()
        assert memory.octets <= 256 * KIB
        assert len(memory) <= 256 * KIB // OVERHEAD


def test_what_is_asked_for_again_outlives_what_is_asked_for_once() -> None:
    memory: BoundedMemory[str] = BoundedMemory(64 * KIB)
    memory.set(b"hot", "hot", KIB)
    assert memory.get(b"hot") == "hot"
    for number in range(1_000):
        memory.set(b"once-%d" % number, "cold", KIB)
    assert memory.get(b"hot") == "hot"
    assert memory.get(b"once-0") is None
    assert memory.get(b"once-999") == "cold"


def test_one_entry_does_not_push_out_all_others() -> None:
    memory: BoundedMemory[str] = BoundedMemory(64 * KIB)
    memory.set(b"small", "small", KIB)
    memory.set(b"large", "large", 64 * KIB)
    assert b"large" not in memory
    assert b"small" in memory
    memory.set(b"small", "grown", 64 * KIB)  # what was kept is not true any more
    assert b"small" not in memory
    assert memory.octets == 0


def test_a_new_value_takes_the_place_of_the_old_one() -> None:
    memory: BoundedMemory[str] = BoundedMemory(64 * KIB)
    for text in ("first", "second"):
        memory.set(b"key", text, KIB)
        assert memory.get(b"key") == text
    assert memory.octets == KIB + OVERHEAD
