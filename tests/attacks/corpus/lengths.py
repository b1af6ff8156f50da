"""How long a body is: Content-Length, Transfer-Encoding, and both (RFC 9112, 6)."""

from tests.attacks.corpus.attack import CHUNKED, END, EVIL, GET, HOST, POST, Seen, read, refused

LENGTH = "RFC 9112, 6.2"
BOTH = "RFC 9112, 6.1"
SPLIT = b"0" + END + END
OLD = b"POST /up/x HTTP/1.0" + END


def _length(value: bytes, body: bytes = b"hello") -> bytes:
    return POST + HOST + b"content-length:" + value + END + END + body


def _coding(line: bytes, body: bytes = b"5\r\nhello\r\n0\r\n\r\n") -> bytes:
    return POST + HOST + line + END + END + body


LENGTHS = (
    read("a length", LENGTH, _length(b" 5"), Seen("POST", body=b"hello")),
    read("a length in tabs and spaces", "RFC 9110, 5.5", _length(b" \t 5 \t "), Seen("POST", body=b"hello")),
    read("a length with zeros before it", LENGTH, _length(b" 0005"), Seen("POST", body=b"hello")),
    read("a length of zero, then a request", LENGTH, _length(b" 0", EVIL), Seen("POST"), Seen(target="/up/evil")),
    read(
        "a body for GET",
        "RFC 9110, 9.3.1",
        GET + HOST + b"content-length: 5" + END + END + b"hello",
        Seen(body=b"hello"),
    ),
    refused("a length with a plus", LENGTH, _length(b" +5")),
    refused("a length with a minus", LENGTH, _length(b" -5")),
    refused("a length in hexadecimal", LENGTH, _length(b" 0x5")),
    refused("a length with a space within", LENGTH, _length(b" 1 0")),
    refused("a length with a comma after it", LENGTH, _length(b" 5,")),
    refused("a length with a fraction", LENGTH, _length(b" 5.0")),
    refused("a length with an exponent", LENGTH, _length(b" 5e0")),
    refused("a length with an underscore", LENGTH, _length(b" 1_0")),
    refused("a length in other digits", LENGTH, _length(" ٥".encode())),
    refused("a length in quotes", LENGTH, _length(b' "5"')),
    refused("no length after the colon", LENGTH, _length(b"")),
    refused("a length beyond 64 bits", LENGTH, _length(b" 18446744073709551621"), 400, 413),
    refused("a length of a thousand digits", LENGTH, _length(b" " + b"9" * 1000), 400, 413),
    refused("a length with a vertical tab before it", "RFC 9110, 5.5", _length(b" \x0b5")),
    refused("a length with a NUL after it", "RFC 9110, 5.5", _length(b" 5\x00")),
    refused("twice the same length", LENGTH, _length(b" 5\r\ncontent-length: 5")),
    refused("two lengths of zero", LENGTH, _length(b" 0\r\ncontent-length: 0")),
    refused("two lengths", LENGTH, _length(b" 5\r\ncontent-length: 6")),
    refused("two lengths in other cases", LENGTH, _length(b" 5\r\nCONTENT-LENGTH: 0")),
    refused("a list of the same length", LENGTH, _length(b" 5, 5")),
    refused("a list of lengths", LENGTH, _length(b" 5, 6")),
    refused("CL.TE", BOTH, _coding(b"content-length: 6" + END + CHUNKED[:-2], SPLIT + b"G")),
    refused("TE.CL", BOTH, _coding(CHUNKED + b"content-length: 4", b"24\r\n" + EVIL[:36] + END + SPLIT)),
    refused("a length of zero and chunks", BOTH, _coding(b"content-length: 0" + END + CHUNKED[:-2], SPLIT + EVIL)),
    refused("chunks and a length for GET", BOTH, GET + HOST + CHUNKED + b"content-length: 5" + END + END + SPLIT),
    refused("chunks in HTTP/1.0", BOTH, OLD + HOST + CHUNKED + END + SPLIT),
    refused("chunks and a length in HTTP/1.0", BOTH, OLD + HOST + CHUNKED + b"content-length: 5" + END + END + SPLIT),
)

CODINGS = (
    read("chunked", BOTH, _coding(b"transfer-encoding: chunked"), Seen("POST", body=b"hello")),
    read("chunked in capitals", "RFC 9112, 7", _coding(b"TRANSFER-ENCODING: CHUNKED"), Seen("POST", body=b"hello")),
    read(
        "chunked with a tab before it",
        "RFC 9110, 5.5",
        _coding(b"transfer-encoding: \tchunked"),
        Seen("POST", body=b"hello"),
    ),
    refused("chunked with a tab after it", "RFC 9110, 5.5", _coding(b"transfer-encoding: chunked\t")),
    read(
        "chunks for GET, then a request",
        "RFC 9110, 9.3.1",
        GET + HOST + CHUNKED + END + SPLIT + EVIL,
        Seen(),
        Seen(target="/up/evil"),
    ),
    *(
        refused(f"the coding {value.decode('latin-1')!r}", BOTH, _coding(b"transfer-encoding:" + value), 400, 501)
        for value in (
            b" xchunked",
            b" chunkedx",
            b" chunked, identity",
            b" identity, chunked",
            b" identity",
            b" gzip",
            b" gzip, chunked",
            b" chunked, gzip",
            b" chunked, chunked",
            b" chunked,",
            b" ,chunked",
            b" chunked;q=1",
            b' "chunked"',
            b" 'chunked'",
            b" \x0bchunked",
            b" \x0cchunked",
            b" chunked\x0b",
            b"\x00chunked",
            b" chunked\x00",
            b" ch\xc3\xbcnked",
            b" \xa0chunked",
            b" ",
            b" cow",
            b" trailers",
        )
    ),
    refused("two codings, the last one chunked", BOTH, _coding(b"transfer-encoding: x" + END + CHUNKED[:-2]), 400, 501),
    refused("two codings, the first one chunked", BOTH, _coding(CHUNKED + b"transfer-encoding: x"), 400, 501),
    refused("TE.TE: chunked twice", BOTH, _coding(CHUNKED + CHUNKED[:-2]), 400, 501),
    refused(
        "TE.TE: identity and chunked in another case",
        BOTH,
        _coding(b"Transfer-Encoding: identity" + END + b"transfer-Encoding: chunked"),
        400,
        501,
    ),
    refused("a space before the colon of the coding", "RFC 9112, 5.1", _coding(b"transfer-encoding : chunked")),
    refused("a tab before the colon of the coding", "RFC 9112, 5.1", _coding(b"transfer-encoding\t: chunked")),
    refused("a space before the coding's name", "RFC 9112, 2.2", _coding(b" transfer-encoding: chunked")),
    refused("a folded coding", "RFC 9112, 5.2", _coding(b"transfer-encoding:\r\n chunked")),
    refused("a coding after a bare LF", "RFC 9112, 2.2", _coding(b"a: b\ntransfer-encoding: chunked")),
    refused("a coding after a bare CR", "RFC 9112, 2.2", _coding(b"a: b\rtransfer-encoding: chunked")),
    refused("a coding in a name with a NUL", "RFC 9110, 5.1", _coding(b"transfer-encoding\x00: chunked")),
    read(
        "a coding whose name has an underscore is no coding",
        BOTH,
        POST + HOST + b"transfer_encoding: chunked" + END + b"content-length: 5" + END + END + b"hello",
        Seen("POST", body=b"hello"),
    ),
)
