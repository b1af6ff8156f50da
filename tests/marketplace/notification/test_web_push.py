"""Messages to browsers: encrypted for them alone, with proof of the sender, over a push service that checks both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, derive_private_key, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from marketplace.notification.adapters.vapid import LIFETIME, Vapid, base64url, from_base64url, read_key
from marketplace.notification.adapters.web_push import WebPush
from marketplace.notification.adapters.web_push_encryption import LONGEST, ReaderKeys, encrypted, encrypted_with
from marketplace.notification.domain import Push, PushSubscription
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from souk.events.consumer import is_away
from souk.kernel.errors import ConfigurationError
from souk.testing.certificates import Authority
from souk.testing.clocks import FakeClock
from tests.marketplace.notification.providers import Browser, PushService, certified, serving

KEY = generate_private_key(SECP256R1())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def pushing(clock: FakeClock, tls: SSLContext | None = None) -> AsyncIterator[tuple[PushService, WebPush]]:
    vapid = Vapid(KEY, "mailto:ops@shop.example", clock)
    push_service = PushService(vapid.public_key, lambda: clock.now() / 1_000_000)
    push_service.tls = tls
    async with serving(push_service) as service:
        sender = WebPush(vapid, clock, ("127.0.0.1",))
        try:
            yield service, sender
        finally:
            await sender.close()


def push(service: PushService, browser: Browser, content: bytes = b"{}", event: str = "EVT-1") -> Push:
    to = PushSubscription(f"{service.url}/push/abc?x=1", browser.public_key, base64url(browser.secret))
    return Push(event, to, content)


def test_the_example_of_rfc_8291() -> None:
    """Appendix A of RFC 8291."""
    ours = derive_private_key(
        int.from_bytes(from_base64url("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), SECP256R1()
    )
    keys = ReaderKeys(
        from_base64url("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        from_base64url("BTBZMqHH6r4Tts7J_aSIgg"),
    )
    sealed = encrypted_with(
        b"When I grow up, I want to be a watermelon", keys, ours, from_base64url("DGv6ra1nlYgDCS1FRnbzlw")
    )
    assert base64url(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@given(st.binary(max_size=LONGEST))
def test_a_browser_reads_what_was_encrypted_for_it(text: bytes) -> None:
    browser = Browser()
    sealed = encrypted(text, ReaderKeys(from_base64url(browser.public_key), browser.secret))
    assert len(sealed) <= 4096
    assert browser.decrypted(sealed) == text


def test_every_message_has_keys_of_its_own() -> None:
    browser = Browser()
    keys = ReaderKeys(from_base64url(browser.public_key), browser.secret)
    assert len({encrypted(b"same", keys)[:86] for _ in range(20)}) == 20


async def test_the_push_service_takes_it_and_the_browser_reads_it(clock: FakeClock) -> None:
    browser = Browser()
    async with pushing(clock) as (service, sender):
        for event in ("EVT-1", "EVT-2", "EVT-1"):
            await sender.send(push(service, browser, b'{"title": "Hello"}', event))
        assert [(one.method, one.path) for one in service.asked] == [("POST", "/push/abc?x=1")] * 3
        assert [browser.decrypted(one.body) for one in service.asked] == [b'{"title": "Hello"}'] * 3
        first, second, again = (one.headers["topic"] for one in service.asked)
        assert first == again != second  # a repeat replaces what was not delivered yet
        with pytest.raises(InvalidTag):
            Browser().decrypted(service.asked[0].body)


async def test_over_https_the_authority_of_ssl_cert_file_is_trusted(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, browser = Authority(tmp_path), Browser()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    async with pushing(clock, certified(authority)) as (service, sender):
        assert service.url.startswith("https:")
        for _ in range(2):
            await sender.send(push(service, browser, b'{"title": "Hello"}'))
        assert (len(service.asked), service.refused) == (2, ""), "it has checked VAPID, with its own origin as audience"
        assert {browser.decrypted(one.body) for one in service.asked} == {b'{"title": "Hello"}'}


@pytest.mark.parametrize("trusted", [None, "stranger"])
async def test_a_push_service_whose_certificate_is_not_trusted_gets_nothing(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: str | None
) -> None:
    if trusted is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path, trusted).ca))
    async with pushing(clock, certified(Authority(tmp_path))) as (service, sender):
        with pytest.raises(
            DeliveryPostponed, match="the certificate of the push service is not trusted: "
        ) as postponed:
            await sender.send(push(service, Browser()))
        assert service.asked == []
        assert "/push/abc" not in str(postponed.value)


async def test_its_proof_is_made_anew_before_it_expires(clock: FakeClock) -> None:
    browser = Browser()
    async with pushing(clock) as (service, sender):
        for _ in range(4):
            await sender.send(push(service, browser))
            clock.advance(LIFETIME / 2 + 1)
        assert len({one.headers["authorization"] for one in service.asked}) == 4
        await sender.send(push(service, browser))
        await sender.send(push(service, browser))
        assert service.asked[-1].headers["authorization"] == service.asked[-2].headers["authorization"]


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (404, RecipientGone),
        (410, RecipientGone),
        (400, DeliveryRefused),
        (413, DeliveryRefused),
        (401, DeliveryPostponed),
        (403, DeliveryPostponed),
        (429, DeliveryPostponed),
        (500, DeliveryPostponed),
        (503, DeliveryPostponed),
    ],
)
async def test_each_refusal_ends_as_it_should(clock: FakeClock, status: int, end: type[Exception]) -> None:
    async with pushing(clock) as (service, sender):
        service.reply = (status, {}, {"reason": "x"})
        with pytest.raises(end) as refused:
            await sender.send(push(service, Browser()))
        assert is_away(refused.value) == (end is DeliveryPostponed)
        assert "/push/abc" not in str(refused.value)


async def test_it_is_left_alone_as_long_as_it_wants(clock: FakeClock) -> None:
    async with pushing(clock) as (service, sender):
        service.reply = (429, {"Retry-After": "120"}, None)
        for _ in range(3):
            with pytest.raises(DeliveryPostponed):
                await sender.send(push(service, Browser()))
        assert len(service.asked) == 1
        service.reply = None
        clock.advance(119.0)
        with pytest.raises(DeliveryPostponed):
            await sender.send(push(service, Browser()))
        clock.advance(2.0)
        await sender.send(push(service, Browser()))


async def test_a_service_that_is_away_or_hangs_up(clock: FakeClock) -> None:
    async with pushing(clock) as (service, sender):
        service.drops = True
        with pytest.raises(DeliveryPostponed):
            await sender.send(push(service, Browser()))
        service.drops = False
        await service.stop()
        with pytest.raises(DeliveryPostponed):
            await sender.send(push(service, Browser()))
        await service.start()
        await sender.send(push(service, Browser()))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest",
        "https://fcm.googleapis.com.evil.example/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://evil@fcm.googleapis.com/x",
        "https://a.b.notify.windows.com/x",
        "https://notify.windows.com/x",
        "https://[::1",
        "file:///etc/passwd",
        "",
    ],
)
async def test_only_push_services_are_called(clock: FakeClock, endpoint: str) -> None:
    browser, sender = Browser(), WebPush(Vapid(KEY, "mailto:a@b.c", clock), clock)
    with pytest.raises(RecipientGone, match="no push service"):
        await sender.send(Push("E", PushSubscription(endpoint, browser.public_key, base64url(browser.secret)), b""))


@pytest.mark.parametrize(
    ("public_key", "secret"),
    [
        ("", "AAAAAAAAAAAAAAAAAAAAAA"),
        ("BAAA", "AAAAAAAAAAAAAAAAAAAAAA"),
        (base64url(b"\x04" + b"\x01" * 64), "AAAAAAAAAAAAAAAAAAAAAA"),  # no point of the curve
        (Browser().public_key, "AAAA"),
        (Browser().public_key, "é"),
    ],
    ids=["no key", "a short key", "no point", "a short secret", "no base64"],
)
async def test_a_browser_without_keys_is_as_good_as_gone(clock: FakeClock, public_key: str, secret: str) -> None:
    async with pushing(clock) as (service, sender):
        to = PushSubscription(f"{service.url}/x", public_key, secret)
        with pytest.raises(RecipientGone, match="keys"):
            await sender.send(Push("E", to, b""))
        assert service.asked == []


async def test_a_message_that_is_too_long_is_refused(clock: FakeClock) -> None:
    async with pushing(clock) as (service, sender):
        with pytest.raises(DeliveryRefused, match="too long"):
            await sender.send(push(service, Browser(), b"x" * (LONGEST + 1)))
        assert service.asked == []


def test_the_key_is_one_of_p_256() -> None:
    def pem(key: object) -> bytes:
        encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
        return encoded

    assert read_key(pem(KEY)).private_numbers() == KEY.private_numbers()
    for wrong in (pem(generate_private_key(SECP384R1())), b"nothing", b""):
        with pytest.raises(ConfigurationError, match="P-256"):
            read_key(wrong)
