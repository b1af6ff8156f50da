"""The rules of metadata hold for whatever is given."""

import grpc.aio
from hypothesis import given
from hypothesis import strategies as st

from souk.rpc.metadata import checked, size

ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.")
keys = st.one_of(st.text(max_size=8), st.text(st.sampled_from("ab-.Z "), max_size=6), st.just("x-bin"))
values = st.one_of(st.text(max_size=8), st.binary(max_size=8))


@given(st.lists(st.tuples(keys, values), max_size=4))
def test_what_passes_is_what_grpc_carries(pairs: list[tuple[str, str | bytes]]) -> None:
    try:
        passed = checked(pairs)
    except (grpc.aio.InternalError, TypeError):
        assert any(not _carried(key, value) for key, value in pairs)
        return
    for key, value in passed:
        assert key
        assert set(key) <= ALLOWED
        assert isinstance(value, bytes) == key.endswith("-bin")
        if isinstance(value, str):
            assert all(" " <= letter <= "~" for letter in value)
    assert checked(passed) == passed
    assert size(passed) == sum(len(key) + len(value) + 32 for key, value in passed)


def _carried(key: str, value: str | bytes) -> bool:
    if not key or not set(key) <= ALLOWED:
        return False
    if key.endswith("-bin"):
        return isinstance(value, bytes)
    text = value if isinstance(value, str) else value.decode("latin-1")
    return all(" " <= letter <= "~" for letter in text)
