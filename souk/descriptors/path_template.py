"""Path templates of google.api.http: `/v1/{name=shelves/*}/books/{id}:archive`.

    Template = "/" Segments [ Verb ] ;          Segment  = "*" | "**" | LITERAL | Variable ;
    Segments = Segment { "/" Segment } ;        Variable = "{" FieldPath [ "=" Segments ] "}" ;
    Verb     = ":" LITERAL ;                    FieldPath = IDENT { "." IDENT } ;

`*` is one segment, `**` zero or more, at the end only. `{id}` means `{id=*}`. A path that matches a template is known
by its captures: the raw text of each wildcard, in their order; None for a `**` of zero segments. A variable is put
together from its literals and captures. A variable of one segment is decoded fully; in any other an encoded slash
stays as it is (`%2F`), so that it is not taken for the end of a segment. Source: google/api/http.proto.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

ONE, REST = "*", "**"
_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(rf"({_IDENTIFIER}(?:\.{_IDENTIFIER})*)(?:=(.*))?")
_PARTS = re.compile(r"/((?:[^/{}]|\{[^{}]*\})*)")
_SLASH = re.compile(r"(%2[Ff])")
_SAFE = "-_.~"


@dataclass(frozen=True, slots=True)
class PathVariable:
    """One variable: the path of the field that it fills, and its segments, each a literal or the index of a capture.

    `single` is for `{id}`, whose only segment is a `*`; `rest` is for one that ends with `**`.
    """

    field: str
    pieces: tuple[str | int, ...]
    single: bool
    rest: bool

    def value(self, captures: Sequence[str | None]) -> str | None:
        """Puts the variable's value together and decodes it; None when it is not percent-encoded UTF-8."""
        if self.single:
            return decoded(captures[self.pieces[0]] or "")  # type: ignore[index]  # a single piece is a capture
        parts = [piece if isinstance(piece, str) else captures[piece] for piece in self.pieces]
        return _decoded_but_slashes("/".join(part for part in parts if part is not None))


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `segments` are literals, `*` and `**`; `verb` is the custom verb, which may be empty."""

    segments: tuple[str, ...]
    verb: str
    bindings: tuple[PathVariable, ...]

    @classmethod
    def parse(cls, path: str) -> "Template":
        """Parses a path. Raises ValueError for what is no template."""
        parts = _PARTS.findall(path)
        if "".join(f"/{part}" for part in parts) != path or not parts:
            raise ValueError(f"a path begins with a slash, and its braces are closed: {path}")
        last, verb = _split_verb(parts.pop())
        segments: list[str] = []
        bindings: list[PathVariable] = []
        for part in (*parts, last):
            if part.startswith("{") and part.endswith("}"):
                bindings.append(_variable(part[1:-1], segments, path))
            else:
                segments.append(_checked(part, path))
        if REST in segments[:-1]:
            raise ValueError(f"a path template has ** at its end only: {path}")
        if len({one.field for one in bindings}) != len(bindings):
            raise ValueError(f"a path template fills each field once: {path}")
        return cls(tuple(segments), verb, tuple(bindings))

    @property
    def variables(self) -> tuple[str, ...]:
        """The paths of the fields that the path fills."""
        return tuple(variable.field for variable in self.bindings)

    @property
    def fixed(self) -> bool:
        """Whether the template is one path: it has no wildcard."""
        return ONE not in self.segments and REST not in self.segments

    def expand(self, values: Sequence[str]) -> str:
        """Returns the path for the values of the variables. Raises ValueError for a value that does not fit.

        A wildcard outside of variables has no value, so a template with one cannot be expanded.
        """
        captures: dict[int, str] = {}
        for variable, value in zip(self.bindings, values, strict=True):
            captures.update(_captures_of(variable, value))
        path, wildcard = "", 0
        for segment in self.segments:
            if segment in (ONE, REST):
                text = captures.get(wildcard)
                if text is None and segment == ONE:
                    raise ValueError("a wildcard outside of the variables has no value")
                path, wildcard = path if text is None else f"{path}/{text}", wildcard + 1
            else:
                path += f"/{segment}"
        return f"{path}:{self.verb}" if self.verb else path


def _split_verb(last: str) -> tuple[str, str]:
    braced = last.rfind("}")
    head, _, verb = last[braced + 1 :].partition(":")
    return last[: braced + 1] + head, verb


def _variable(text: str, segments: list[str], path: str) -> PathVariable:
    match = _VARIABLE.fullmatch(text)
    if match is None:
        raise ValueError(f"unsupported path template: {path}")
    pieces: list[str | int] = []
    captures = sum(segment in (ONE, REST) for segment in segments)
    inner = [_checked(part, path) for part in (match[2] if match[2] is not None else ONE).split("/")]
    for part in inner:
        pieces.append(captures if part in (ONE, REST) else part)
        captures += part in (ONE, REST)
    segments.extend(inner)
    return PathVariable(match[1], tuple(pieces), inner == [ONE], inner[-1] == REST)


def _checked(segment: str, path: str) -> str:
    if segment not in (ONE, REST) and any(mark in segment for mark in "*{}="):
        raise ValueError(f"unsupported path template: {path}")
    return segment


def _captures_of(variable: PathVariable, value: str) -> dict[int, str]:
    """Takes a variable's value apart: returns its captures, encoded."""
    parts = [value] if variable.single else value.split("/")
    last = len(variable.pieces) - 1
    found: dict[int, str] = {}
    for position, piece in enumerate(variable.pieces):
        given = parts[position : None if position == last else position + 1]
        many = variable.rest and position == last
        if not isinstance(piece, int):
            fits = given == [piece]
        elif many:
            fits = True
        else:
            fits = len(given) == 1 and given[0] != ""
        if not fits:
            raise ValueError(f"{variable.field} does not fit its place in the path: {value[:100]!r}")
        if isinstance(piece, int) and given:
            found[piece] = "/".join(quote(text, safe=_SAFE) for text in given)
    return found


def decoded(segment: str) -> str | None:
    """Decodes a percent-encoded segment; None when it is not valid percent-encoded UTF-8."""
    if not segment.isascii():
        return None
    if "%" not in segment:
        return segment
    plain = segment.replace("%", "")
    octets = unquote_to_bytes(segment)
    # The decoder leaves a percent sign without two hexadecimal digits as it is, which shows in the length.
    if len(octets) != len(plain.encode()) - segment.count("%"):
        return None
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


def _decoded_but_slashes(text: str) -> str | None:
    if "%" not in text:
        return decoded(text)
    parts = [part if _SLASH.fullmatch(part) else decoded(part) for part in _SLASH.split(text)]
    return None if None in parts else "".join(part for part in parts if part is not None)
