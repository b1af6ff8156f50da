"""What a saga may look like."""

import pytest

from souk.saga.definition import Saga, Step


async def _call(*_: object) -> None:
    """Stands for a participant."""


def test_steps_have_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        Saga("s", Step("a", do=_call), Step("a", do=_call))
    with pytest.raises(ValueError, match="names of their own"):
        Saga("s")


def test_a_saga_that_may_go_back_says_what_then() -> None:
    with pytest.raises(ValueError, match="before 'b'"):
        Saga("s", Step("a", do=_call), Step("b", do=_call, pivot=True))


def test_without_a_pivot_or_with_the_first_step_as_pivot_it_only_goes_forward() -> None:
    assert Saga("s", Step("a", do=_call)).forward_only
    assert Saga("s", Step("a", do=_call, pivot=True), Step("b", do=_call)).forward_only
    assert not Saga("s", Step("a", do=_call), Step("b", record=_call, pivot=True), rejected=_call).forward_only


def test_a_slug_is_part_of_a_key() -> None:
    assert Step("reserve stock").slug == "reserve-stock"
