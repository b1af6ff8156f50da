"""Upcasting: whatever version an event was stored in, the code reads it as the present one, or says that it cannot."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from souk.kernel.errors import UnknownEvent
from souk.store.event_types import EventTypes, Fields
from tests.properties import examples

_TYPES = ("Placed", "Shipped", "Paid")


def _add(name: str, fields: Fields) -> Fields:
    return {**fields, name: len(fields)}


def _types(present: dict[str, int]) -> EventTypes:
    """Makes types of which each version adds one field to the version before."""
    upcasts = {
        (kind, version): partial(_add, f"v{version + 1}")
        for kind, newest in present.items()
        for version in range(1, newest)
    }
    return EventTypes(_TYPES, upcasts)


_PRESENT = st.fixed_dictionaries({kind: st.integers(1, 6) for kind in _TYPES})


@settings(max_examples=examples(200))
@given(_PRESENT, st.sampled_from(_TYPES), st.data())
def test_each_version_becomes_the_present_one(present: dict[str, int], kind: str, data: st.DataObject) -> None:
    version = data.draw(st.integers(1, present[kind]))
    written = {"v1": 0, **{f"v{number}": number - 1 for number in range(2, version + 1)}}
    before = dict(written)
    metadata = {} if version == 1 else {"version": version}
    found = _types(present).present(kind, metadata, written)
    assert found == {f"v{number}": number - 1 for number in range(1, present[kind] + 1)}
    assert list(found) == [f"v{number}" for number in range(1, present[kind] + 1)]  # in their order, each once
    assert written == before


@settings(max_examples=examples(200))
@given(_PRESENT, st.sampled_from(_TYPES))
def test_what_is_written_now_is_read_unchanged(present: dict[str, int], kind: str) -> None:
    types = _types(present)
    assert types.present(kind, types.metadata(kind), {"a": 1}) == {"a": 1}


@settings(max_examples=examples(200))
@given(
    _PRESENT,
    st.sampled_from(_TYPES),
    st.one_of(st.integers(max_value=0), st.integers(min_value=7), st.text(), st.none(), st.floats()),
)
def test_a_version_that_is_not_known_is_an_error(present: dict[str, int], kind: str, version: object) -> None:
    with pytest.raises(UnknownEvent, match=f"an event {kind} has version"):
        _types(present).present(kind, {"version": version}, {})


@pytest.mark.parametrize("upcasts", [("Placed", 2), ("Placed", 0), ("Nothing", 1)])
def test_an_upcast_that_leads_nowhere_is_a_mistake(upcasts: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="leads nowhere"):
        EventTypes(_TYPES, {upcasts: dict})
