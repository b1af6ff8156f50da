"""Bodies in chunks (RFC 9112, 7.1)."""

from tests.attacks.corpus.attack import CHUNKED, END, EVIL, HOST, POST, Seen, read, refused_body

SIZE, EXTENSION, TRAILER = "RFC 9112, 7.1", "RFC 9112, 7.1.1", "RFC 9112, 7.1.2"
HEAD = POST + HOST + CHUNKED + END
LAST = b"0" + END + END
HELLO = b"5" + END + b"hello" + END


def _size(size: bytes) -> bytes:
    return HEAD + size + END + b"hello" + END + LAST


CHUNKS = (
    read("chunks of one octet", SIZE, HEAD + b"1\r\nh\r\n1\r\ni\r\n" + LAST, Seen("POST", body=b"hi")),
    read("a size with zeros before it", SIZE, _size(b"000005"), Seen("POST", body=b"hello")),
    read(
        "a size in small and capital digits",
        SIZE,
        HEAD + b"0A\r\n" + b"x" * 10 + b"\r\n0a\r\n" + b"y" * 10 + END + LAST,
        Seen("POST", body=b"x" * 10 + b"y" * 10),
    ),
    read("an extension", EXTENSION, _size(b'5;a=b;c="d"'), Seen("POST", body=b"hello")),
    read("a trailer", TRAILER, HEAD + HELLO + b"0\r\na: b\r\n\r\n", Seen("POST", body=b"hello")),
    refused_body("a trailer with a length", TRAILER, HEAD + HELLO + b"0\r\ncontent-length: 50\r\n\r\n" + EVIL),
    refused_body("a trailer with a coding", TRAILER, HEAD + HELLO + b"0\r\ntransfer-encoding: chunked\r\n\r\n" + EVIL),
    read("a trailer with a host", TRAILER, HEAD + HELLO + b"0\r\nhost: evil\r\n\r\n", Seen("POST", body=b"hello")),
    *(
        refused_body(f"the size {size.decode('latin-1')!r}", SIZE, _size(size))
        for size in (
            b"-5",
            b"+5",
            b"0x5",
            b"0X5",
            b" 5",
            b"\t5",
            b"5 5",
            b"5_0",
            b"g",
            b"",
            b"5\x00",
            b"\x005",
            b"5\x0b",
            b"\xd9\xa5",
            b"5,5",
            b"5.0",
            b"fffffffffffffffff",
            b"5\n",
            b"5\r",
            b"5;a\nb",
            b"5;a\rb",
            b"5;a\x00b",
        )
    ),
    refused_body("a size of zeros without end", SIZE, HEAD + b"0" * 100_000, 400, 431),
    refused_body("a size beyond 64 bits that wraps to 5", SIZE, _size(b"10000000000000005")),
    refused_body("no line end after a chunk", SIZE, HEAD + b"5\r\nhello0\r\n\r\n"),
    refused_body("more than its size in a chunk", SIZE, HEAD + b"5\r\nhelloworld\r\n" + LAST),
    refused_body("a bare LF after a size", SIZE, HEAD + b"5\nhello\r\n" + LAST),
    refused_body("a bare LF after a chunk", SIZE, HEAD + b"5\r\nhello\n" + LAST),
    refused_body("a bare CR after a chunk", SIZE, HEAD + b"5\r\nhello\r" + LAST),
    refused_body("bare LFs after the last chunk", SIZE, HEAD + HELLO + b"0\n\n" + EVIL),
    refused_body("a bare LF in place of the trailer's end", TRAILER, HEAD + HELLO + b"0\r\n\n" + EVIL),
    refused_body("an extension with a bare LF (TERM.EXT)", EXTENSION, HEAD + b"5;\nhello\r\n" + LAST),
    refused_body("extensions without end", EXTENSION, HEAD + b"5" + b";a=b" * 50_000, 400, 431),
    refused_body(
        "extensions in every chunk", EXTENSION, HEAD + (b"1;" + b"a" * 30_000 + b"\r\nx\r\n") * 100, 400, 413, 431
    ),
    refused_body("a trailer without end", TRAILER, HEAD + HELLO + b"0\r\n" + b"a: b\r\n" * 20_000, 431),
    refused_body("a trailer line without a colon", TRAILER, HEAD + HELLO + b"0\r\nGET /up/evil HTTP/1.1\r\n\r\n"),
    refused_body("a folded trailer", TRAILER, HEAD + HELLO + b"0\r\na: b\r\n c\r\n\r\n"),
    refused_body("a NUL in a trailer", TRAILER, HEAD + HELLO + b"0\r\na: b\x00\r\n\r\n"),
    refused_body("a space before a trailer's colon", TRAILER, HEAD + HELLO + b"0\r\na : b\r\n\r\n"),
)
