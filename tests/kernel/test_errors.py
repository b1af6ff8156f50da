"""The tree of errors is drawn where it begins, and the drawing is whole."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import souk
from souk.kernel import errors

NOT_IMPORTED = ("souk.testing", "souk.cli.__main__")


def everything_below(error: type[Exception]) -> Iterator[type[Exception]]:
    for kind in error.__subclasses__():
        yield kind
        yield from everything_below(kind)


def test_every_error_of_the_platform_is_drawn() -> None:
    for module in pkgutil.walk_packages(souk.__path__, "souk."):
        if not module.name.startswith(NOT_IMPORTED):
            importlib.import_module(module.name)
    drawn = re.findall("── ([A-Z][A-Za-z]+)", errors.__doc__ or "")
    there = {kind.__name__ for kind in everything_below(errors.SoukError) if kind.__module__.startswith("souk.")}
    there -= {
        kind.__name__ for kind in everything_below(errors.SoukError) if kind.__module__.startswith("souk.testing")
    }
    assert sorted(drawn) == sorted(there)
