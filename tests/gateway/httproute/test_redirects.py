"""The Gateway API's conformance tests of HTTPRoute that concern redirects, each under its name."""

from typing import Any

import pytest

HOST = "gateway.example"


def redirecting(*rules: tuple[str, str]) -> str:
    """A file of rules, each a prefix and its redirect."""
    lines = [
        f"  - {{matches: [{{path: {{value: {path}}}}}], filters: [{{requestRedirect: {redirect}}}]}}"
        for path, redirect in rules
    ]
    return "routes:\n- rules:\n" + "\n".join(lines) + "\n"


async def test_HTTPRouteRedirectHostAndStatus(site: Any) -> None:
    site.use(
        redirecting(
            ("/hostname-redirect", "{hostname: example.org}"),
            ("/host-and-status", "{hostname: example.org, statusCode: 301}"),
        )
    )
    await site.redirects(302, "http://example.org/hostname-redirect", "/hostname-redirect", host=HOST)
    await site.redirects(301, "http://example.org/host-and-status", "/host-and-status", host=HOST)


async def test_HTTPRouteRedirectPath(site: Any) -> None:
    prefix, full = "path: {replacePrefixMatch: /replacement-prefix}", "path: {replaceFullPath: /replacement-full}"
    site.use(
        redirecting(
            ("/original-prefix", f"{{{prefix}}}"),
            ("/full", "{path: {type: ReplaceFullPath, replaceFullPath: /full-path-replacement}}"),
            ("/path-and-host", f"{{hostname: example.org, {prefix}}}"),
            ("/path-and-status", f"{{statusCode: 301, {prefix}}}"),
            ("/full-path-and-host", f"{{hostname: example.org, {full}}}"),
            ("/full-path-and-status", f"{{statusCode: 301, {full}}}"),
        )
    )
    for status, location, path in (
        (302, f"http://{HOST}/replacement-prefix/lemon", "/original-prefix/lemon"),
        (302, f"http://{HOST}/full-path-replacement", "/full/path/original"),
        (302, "http://example.org/replacement-prefix", "/path-and-host"),
        (301, f"http://{HOST}/replacement-prefix", "/path-and-status"),
        (302, "http://example.org/replacement-full", "/full-path-and-host"),
        (301, f"http://{HOST}/replacement-full", "/full-path-and-status"),
    ):
        await site.redirects(status, location, path, host=HOST)


async def test_HTTPRouteRedirectPort(site: Any) -> None:
    site.use(
        redirecting(
            ("/port", "{port: 8083}"),
            ("/port-and-host", "{hostname: example.org, port: 8083}"),
            ("/port-and-status", "{port: 8083, statusCode: 301}"),
            ("/port-and-host-and-status", "{port: 8083, hostname: example.org, statusCode: 302}"),
        )
    )
    for status, host, path in (
        (302, HOST, "/port"),
        (302, "example.org", "/port-and-host"),
        (301, HOST, "/port-and-status"),
        (302, "example.org", "/port-and-host-and-status"),
    ):
        await site.redirects(status, f"http://{host}:8083{path}", path, host=HOST)


async def test_HTTPRouteRedirectScheme(site: Any) -> None:
    site.use(
        redirecting(
            ("/scheme", "{scheme: https}"),
            ("/scheme-and-host", "{scheme: https, hostname: example.org}"),
            ("/scheme-and-status", "{scheme: https, statusCode: 301}"),
            ("/scheme-and-host-and-status", "{scheme: https, hostname: example.org, statusCode: 302}"),
        )
    )
    for status, host, path in (
        (302, HOST, "/scheme"),
        (302, "example.org", "/scheme-and-host"),
        (301, HOST, "/scheme-and-status"),
        (302, "example.org", "/scheme-and-host-and-status"),
    ):
        await site.redirects(status, f"https://{host}{path}", path, host=HOST)


PORTS = (
    ("/scheme-nil-and-port-nil", "{hostname: example.org}"),
    ("/scheme-nil-and-port-80", "{hostname: example.org, port: 80}"),
    ("/scheme-nil-and-port-8080", "{hostname: example.org, port: 8080}"),
    ("/scheme-https-and-port-nil", "{hostname: example.org, scheme: https}"),
    ("/scheme-https-and-port-443", "{hostname: example.org, scheme: https, port: 443}"),
    ("/scheme-https-and-port-8443", "{hostname: example.org, scheme: https, port: 8443}"),
)


@pytest.mark.parametrize(
    ("host", "origins"),
    [
        (
            HOST,
            ("http://example.org",) * 2 + ("http://example.org:8080",) + ("https://example.org",) * 2
            + ("https://example.org:8443",),
        ),
        (
            f"{HOST}:8080",
            ("http://example.org:8080", "http://example.org", "http://example.org:8080", "https://example.org",
             "https://example.org", "https://example.org:8443"),
        ),
    ],
)  # fmt: skip
async def test_HTTPRouteRedirectPortAndScheme(site: Any, host: str, origins: tuple[str, ...]) -> None:
    """The listeners on 80 and 8080. The port of a listener is here the one that the client has used."""
    site.use(redirecting(*PORTS))
    for (path, _), origin in zip(PORTS, origins, strict=True):
        await site.redirects(302, origin + path, path, host=host)


async def _status(site: Any, status: int, path: str) -> None:
    site.use(redirecting((path, f"{{statusCode: {status}}}")))
    await site.redirects(status, f"http://{HOST}{path}", path, host=HOST, method="POST", body="body")


async def test_HTTPRoute303Redirect(site: Any) -> None:
    await _status(site, 303, "/see-other")


async def test_HTTPRoute307Redirect(site: Any) -> None:
    await _status(site, 307, "/temporary-redirect")


async def test_HTTPRoute308Redirect(site: Any) -> None:
    await _status(site, 308, "/permanent-redirect")


async def test_HTTPRouteBackendRequestRedirect(site: Any) -> None:
    site.use("""
routes:
- rules:
  - matches: [{path: {value: /full}}]
    backendRefs:
    - name: v1
      filters: [{type: RequestRedirect, requestRedirect: {path: {replaceFullPath: /redirected-full}}}]
  - matches: [{path: {value: /prefix}}]
    backendRefs:
    - name: v1
      filters: [{type: RequestRedirect, requestRedirect: {path: {replacePrefixMatch: /redirected-prefix}}}]
""")
    await site.redirects(302, f"http://{HOST}/redirected-full", "/full/original", host=HOST)
    await site.redirects(302, f"http://{HOST}/redirected-prefix/original", "/prefix/original", host=HOST)
