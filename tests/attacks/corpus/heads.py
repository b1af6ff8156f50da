"""Lines of a head: their ends, names, values and number (RFC 9112, 2.2 and 5; RFC 9110, 5)."""

from tests.attacks.corpus.attack import END, EVIL, GET, HOST, Seen, read, refused

LINES, FIELDS, VALUES, FLOOD = "RFC 9112, 2.2", "RFC 9112, 5.1", "RFC 9110, 5.5", "RFC 6585, 5"


def _with(line: bytes) -> bytes:
    return GET + HOST + line + END + END


HEADS = (
    read("empty lines before a request", LINES, END * 3 + GET + HOST + END, Seen()),
    read("a value of octets beyond ASCII", VALUES, _with(b"a: \xff\xfe"), Seen()),
    read("an empty value", VALUES, _with(b"a:"), Seen()),
    read("no space after the colon", FIELDS, GET + b"host:x" + END + END, Seen()),
    read("a name of every sign that it may have", FIELDS, _with(b"!#$%&'*+-.^_`|~09aZ: b"), Seen()),
    refused("a bare LF after the request line", LINES, b"GET /up/x HTTP/1.1\n" + HOST + END),
    refused("bare LFs alone", LINES, b"GET /up/x HTTP/1.1\nhost: x\n\n"),
    refused("a bare LF after a field", LINES, GET + b"host: x\n" + END),
    refused("a bare LF in place of the empty line", LINES, GET + HOST + b"\n" + EVIL),
    refused("a bare CR in a value", LINES, _with(b"a: b\rc: d")),
    refused("a bare CR before the empty line", LINES, GET + HOST + b"\r\r\n"),
    refused("CR CR LF after a field", LINES, GET + b"host: x\r\r\n" + END),
    refused("LF CR after a field", LINES, GET + b"host: x\n\r" + END),
    refused("a folded line", "RFC 9112, 5.2", _with(b"a: b\r\n c")),
    refused("a line folded by a tab", "RFC 9112, 5.2", _with(b"a: b\r\n\tc: d")),
    refused("a folded line first", LINES, GET + b" a: b" + END + HOST + END),
    refused("a line of white space", LINES, _with(b" ")),
    refused("a space before a colon", FIELDS, GET + b"host : x" + END + END),
    refused("a tab before a colon", FIELDS, _with(b"a\t: b")),
    refused("a line without a colon", FIELDS, _with(b"abc")),
    refused("a request line in place of a field", FIELDS, _with(b"GET /up/evil HTTP/1.1")),
    refused("no name before the colon", FIELDS, _with(b": b")),
    refused("a space in a name", FIELDS, _with(b"a b: c")),
    refused("a NUL in a name", FIELDS, _with(b"a\x00: b")),
    refused("a control character in a name", FIELDS, _with(b"a\x01: b")),
    refused("an octet beyond ASCII in a name", FIELDS, _with(b"\xffa: b")),
    refused("a slash in a name", FIELDS, _with(b"a/b: c")),
    refused("quotes in a name", FIELDS, _with(b'"a": b')),
    refused("a NUL in a value", VALUES, _with(b"a: b\x00c")),
    refused("a control character in a value", VALUES, _with(b"a: b\x01")),
    refused("a vertical tab in a value", VALUES, _with(b"a: b\x0bc")),
    refused("DEL in a value", VALUES, _with(b"a: \x7f")),
    refused("200 fields", FLOOD, GET + HOST + b"a: b\r\n" * 200 + END, 431),
    refused("100,000 fields", FLOOD, GET + HOST + b"a: b\r\n" * 100_000, 431),
    refused("a name of 100,000 octets", FLOOD, _with(b"a" * 100_000 + b": b"), 431),
    refused("a value of 100,000 octets", FLOOD, _with(b"a: " + b"b" * 100_000), 431),
    refused("empty lines without end", LINES, END * 100_000, 400, 431),
)
