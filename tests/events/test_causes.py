"""Where a handler failed: one digest for one cause, and nothing of the error's text."""

import json

from souk.events.causes import where_failed


def fails(text: str) -> None:
    raise KeyError(text)


def fails_elsewhere(text: str) -> None:
    raise KeyError(text)


def fails_otherwise(text: str) -> None:
    raise ValueError(text) if text else KeyError(text)


def fails_in_a_library(text: str) -> None:
    json.loads("{" + text)


def traced(fail, text: str = "") -> tuple[str, str]:
    try:
        fail(text)
    except Exception as error:
        return where_failed(error)
    raise AssertionError


def test_one_cause_has_one_digest_whatever_the_text():
    digest, location = traced(fails, "ada@example.com")
    assert (digest, location) == traced(fails, "bob@example.com")
    assert len(digest) == 8
    assert location == f"{__name__}:{fails.__code__.co_firstlineno + 1}"


def test_another_place_or_another_error_has_another():
    found = [traced(fails), traced(fails_elsewhere), traced(fails_otherwise), traced(fails_otherwise, "x")]
    assert len({digest for digest, _ in found}) == 4


def test_the_lines_of_libraries_do_not_count():
    digest, location = traced(fails_in_a_library)
    assert location == f"{__name__}:{fails_in_a_library.__code__.co_firstlineno + 1}"
    assert (digest, location) == traced(fails_in_a_library, '"a"')


def test_an_error_that_was_never_raised_has_a_digest_alone():
    digest, location = where_failed(KeyError())
    assert (len(digest), location) == (8, "")
