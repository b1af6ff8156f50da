"""What a page of the console is: a path, a title, and two functions, one that shows it and one that acts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from souk.kernel.errors import SoukError


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is logged in: a user's id, which login it is, and the proof that the forms of a page must send.

    The last two are empty for a request with a bearer token, which needs no proof.
    """

    subject: str
    login: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page. `values` are what stands in place of the `{names}` of its path, decoded.

    `now` is in microseconds. `form` is empty unless the page is to act.
    """

    path: str
    values: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    operator: Operator
    now: int
    form: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def asked(self, name: str) -> str:
        """Returns the first value of a parameter of the query, without blanks around it; empty if there is none."""
        return self.query.get(name, ("",))[0].strip()

    def given(self, name: str) -> str:
        """Returns the first value of a field of the form, without blanks around it; empty if there is none."""
        return self.form.get(name, ("",))[0].strip()


@dataclass(frozen=True, slots=True)
class ShownPage:
    """What a page shows: its template, with the values to fill it, and the same as a JSON document.

    `notice` says what was done, if something was; it is bad news if `failed`.
    """

    template: str
    title: str
    document: Any
    values: Mapping[str, Any] = field(default_factory=dict)
    notice: str = ""
    failed: bool = False
    status: int = 200


Show = Callable[[PageRequest], Awaitable[ShownPage]]
"""Shows a page, or acts and shows what became of it.

Raises PageRefused for what the operator got wrong, and ConfigurationError, in one line, for what cannot be read.
"""


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """A page at `/console/PATH`; a segment `{name}` of the path stands for anything.

    It is in the navigation under its `label`, unless that is empty, in a `group`. `act` answers its forms.
    """

    path: str
    label: str
    show: Show
    act: Show | None = None
    group: str = "System"

    def match(self, path: str) -> Mapping[str, str] | None:
        """Returns what stands for the names of the path, decoded; None if this is not the page of `path`."""
        pattern, segments = self.path.split("/"), path.split("/")
        if len(pattern) != len(segments):
            return None
        values = {}
        for expected, segment in zip(pattern, segments, strict=True):
            if expected.startswith("{"):
                if not segment:
                    return None
                values[expected[1:-1]] = unquote(segment)
            elif expected != segment:
                return None
        return values


@dataclass(eq=False)
class PageRefused(SoukError):
    """What an operator asked cannot be done as it was asked; `detail` says why, in a sentence."""

    detail: str
    status: int = 400

    def __str__(self) -> str:
        return self.detail
