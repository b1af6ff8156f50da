"""Request lines, targets, hosts and what follows a request (RFC 9112, 3)."""

from tests.attacks.corpus.attack import END, EVIL, GET, HOST, POST, Seen, answered, closed, read, refused

LINE, FORM, HOSTS, VERSION = "RFC 9112, 3", "RFC 9112, 3.2", "RFC 9110, 7.2", "RFC 9110, 2.5"
PATHS = "RFC 3986, 6.2.2"


def _line(line: bytes) -> bytes:
    return line + END + HOST + END


def _host(*hosts: bytes) -> bytes:
    return GET + b"".join(b"host: " + host + END for host in hosts) + END


TARGETS = (
    *(
        read(name, PATHS, _line(f"GET {target} HTTP/1.1".encode()), Seen(target=target))
        for name, target in (
            ("a slash in per cent", "/up/a%2Fb"),
            ("a NUL in per cent", "/up/%00"),
            ("a per cent sign in per cent", "/up/%252e%252e"),
            ("a line end in per cent", "/up/x%0d%0aa:%20b"),
            ("a backslash in per cent", "/up/..%5cx"),
            ("two slashes", "/up//x"),
            ("a semicolon", "/up/x;a=b"),
            ("dots that are no segment", "/up/..x"),
            ("a query with a slash and a question mark", "/up/x?a=/../b?c"),
            ("half a per cent escape", "/up/%2"),
        )
    ),
    read("a letter in per cent", PATHS, _line(b"GET /up/%78 HTTP/1.1"), Seen()),
    answered("dots", PATHS, _line(b"GET /up/../healthz HTTP/1.1"), 400),
    answered("dots in per cent", PATHS, _line(b"GET /up/%2e%2e/healthz HTTP/1.1"), 400),
    answered("dots behind a semicolon", PATHS, _line(b"GET /up/x;/../y HTTP/1.1"), 400),
    read("two spaces before the target", LINE, _line(b"GET  /up/x HTTP/1.1"), Seen()),
    read("the version of RTSP", VERSION, _line(b"GET /up/x RTSP/1.1"), Seen()),
    refused("a tab before the target", LINE, _line(b"GET\t/up/x HTTP/1.1")),
    refused("a space before the method", LINE, _line(b" GET /up/x HTTP/1.1")),
    refused("a space within the target", LINE, _line(b"GET /up/x y HTTP/1.1")),
    refused("a space after the version", LINE, _line(b"GET /up/x HTTP/1.1 ")),
    refused("a NUL in the target", LINE, _line(b"GET /up/\x00 HTTP/1.1")),
    refused("a control character in the target", LINE, _line(b"GET /up/\x01 HTTP/1.1")),
    refused("an octet beyond ASCII in the target", FORM, _line(b"GET /up/\xff HTTP/1.1")),
    refused("a fragment in the target", FORM, _line(b"GET /up/x#y HTTP/1.1")),
    refused("no target", LINE, _line(b"GET HTTP/1.1")),
    refused("an empty target", LINE, _line(b"GET  HTTP/1.1")),
    refused("a target without a slash", FORM, _line(b"GET up/x HTTP/1.1")),
    refused("a star for GET", FORM, _line(b"GET * HTTP/1.1")),
    refused(
        "CONNECT", FORM, b"CONNECT evil:443 HTTP/1.1" + END + b"host: evil:443" + END + END + EVIL, 400, 404, 405, 501
    ),
    refused("a method in small letters", LINE, _line(b"get /up/x HTTP/1.1")),
    refused("a method that nobody knows", LINE, _line(b"GETX /up/x HTTP/1.1"), 400, 501),
    refused("a method with a colon", LINE, _line(b"GE:T /up/x HTTP/1.1")),
    refused("an answer in place of a request", LINE, b"HTTP/1.1 200 OK" + END + HOST + END),
    refused("a TLS greeting", LINE, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + END + END),
    refused(
        "a target of 100,000 octets", "RFC 9110, 15.5.15", _line(b"GET /up/" + b"x" * 100_000 + b" HTTP/1.1"), 414, 431
    ),
    refused("HTTP/0.9", VERSION, b"GET /up/x" + END, 400, 505),
    refused("HTTP/0.9 with a head", VERSION, _line(b"GET /up/x"), 400, 505),
    refused("HTTP/0.9 by name", VERSION, _line(b"GET /up/x HTTP/0.9"), 400, 505),
    refused("HTTP/1.2", VERSION, _line(b"GET /up/x HTTP/1.2"), 400, 505),
    refused("HTTP/2.0 in words", VERSION, _line(b"GET /up/x HTTP/2.0"), 505),
    refused("HTTP/11", VERSION, _line(b"GET /up/x HTTP/11")),
    refused("HTTP/1.10", VERSION, _line(b"GET /up/x HTTP/1.10")),
    refused("http in small letters", VERSION, _line(b"GET /up/x http/1.1")),
    refused("another protocol's name", VERSION, _line(b"GET /up/x FTP/1.1"), 400, 505),
    closed("HTTP/1.0 without a host", VERSION, b"GET /up/x HTTP/1.0" + END + END, Seen()),
)

ABSOLUTE = (
    read("an absolute target of the same host", FORM, b"GET http://x/up/x HTTP/1.1" + END + HOST + END, Seen()),
    refused(
        "an absolute target of another host", "RFC 9112, 3.2.2", b"GET http://evil/up/x HTTP/1.1" + END + HOST + END
    ),
    refused(
        "an absolute target of another port", "RFC 9112, 3.2.2", b"GET http://x:81/up/x HTTP/1.1" + END + HOST + END
    ),
    refused("an absolute target with a user", "RFC 9110, 4.2.4", b"GET http://a@x/up/x HTTP/1.1" + END + HOST + END),
    refused("an absolute target of another scheme", FORM, b"GET ftp://x/up/x HTTP/1.1" + END + HOST + END),
    answered("two slashes and a host", FORM, b"GET //evil/up/x HTTP/1.1" + END + HOST + END, 404),
)

HOST_LINES = (
    refused("no host", HOSTS, _host()),
    refused("two hosts", HOSTS, _host(b"x", b"x")),
    refused("two different hosts", HOSTS, _host(b"x", b"evil")),
    refused("two hosts in HTTP/1.0", HOSTS, b"GET /up/x HTTP/1.0" + END + b"host: x" + END + b"Host: y" + END + END),
    *(
        refused(f"the host {host.decode('latin-1')!r}", HOSTS, _host(host))
        for host in (
            b"a b",
            b"a/b",
            b"a@b",
            b"a?b",
            b"a#b",
            b"a\\b",
            b"http://a",
            b'"a"',
            b"<a>",
            b"\xffa",
            b"a\x00",
            b"a\tb",
        )
    ),
)

FOLLOWERS = (
    read("two requests at once", "RFC 9112, 9.3.2", GET + HOST + END + EVIL, Seen(), Seen(target="/up/evil")),
    refused("a request after a refused one", "RFC 9112, 9.6", GET + END + EVIL),
    refused("a refused one after a request", "RFC 9112, 9.3.2", GET + HOST + END + GET + END + EVIL, after=[Seen()]),
    closed(
        "a request after one that closes", "RFC 9112, 9.6", GET + HOST + b"connection: close" + END + END + EVIL, Seen()
    ),
    closed("a request after one of HTTP/1.0", "RFC 9112, 9.3", b"GET /up/x HTTP/1.0" + END + HOST + END + EVIL, Seen()),
    refused(
        "a body that is longer than it says",
        "RFC 9112, 6.3",
        POST + HOST + b"content-length: 2" + END + END + b"hello",
        after=[Seen("POST", body=b"he")],
    ),
    refused(
        "another protocol with a body",
        "RFC 9110, 7.8",
        POST + HOST + b"connection: upgrade" + END + b"upgrade: h2c" + END + b"content-length: 2" + END + END + b"hi",
        501,
    ),
    closed(
        "h2c by upgrade, then a request",
        "RFC 9113, 3.1",
        GET
        + HOST
        + b"connection: upgrade, http2-settings"
        + END
        + b"upgrade: h2c"
        + END
        + b"http2-settings: "
        + END
        + END
        + EVIL,
        Seen(),
    ),
    read(
        "Content-Length named by Connection",
        "RFC 9110, 7.6.1",
        POST + HOST + b"connection: content-length" + END + b"content-length: 5" + END + END + b"hello",
        Seen("POST", body=b"hello"),
    ),
    read("Host named by Connection", "RFC 9110, 7.6.1", GET + HOST + b"connection: host" + END + END, Seen()),
)
