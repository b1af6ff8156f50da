"""Sends messages to browsers over their push services (Web Push, RFC 8030)."""

import hashlib
from ssl import SSLCertVerificationError
from urllib.parse import SplitResult, urlsplit

from cachetools import LRUCache

from marketplace.notification.adapters.http_answers import retry_after
from marketplace.notification.adapters.http_calls import note_answer, traced_post
from marketplace.notification.adapters.vapid import Vapid, base64url, from_base64url
from marketplace.notification.adapters.web_push_encryption import LONGEST, ReaderKeys, encrypted
from marketplace.notification.domain import Push, PushSubscription
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from marketplace.notification.settings import is_loopback
from souk.sdk import Clock, HttpClient, HttpResponse, NoAnswer, NotSent, Tracer

SERVICES = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "web.push.apple.com",
    "*.notify.windows.com",
)
"""The hosts of the push services of browsers; "*." stands for one name before it."""
TIME_TO_LIVE = 24 * 3_600
"""How long a push service keeps a message for a browser that is not there, in seconds."""
_TIMEOUT = 8.0
_KEPT = 16
_GONE = frozenset({404, 410})
_OURS = frozenset({401, 403})
_TOO_MANY, _SERVER_ERROR = 429, 500


class WebPush:
    """Implements the port PushSender.

    A user names the push service, so only `services` are called, by https: otherwise anybody could make this process
    call addresses of the inner network. (By http as well if it is on this machine.) A subscription that can never be
    sent to, as its service is not known or its keys are none, counts as gone. A message that is sent again replaces
    the one before, if that has not been delivered, as both have the same topic.
    """

    def __init__(
        self, vapid: Vapid, clock: Clock, services: tuple[str, ...] = SERVICES, tracer: Tracer | None = None
    ) -> None:
        self._vapid, self._clock, self._services, self._tracer = vapid, clock, services, tracer
        self._clients: LRUCache[str, HttpClient] = LRUCache(_KEPT)
        self._not_before: LRUCache[str, float] = LRUCache(_KEPT)

    async def send(self, push: Push) -> None:
        """Sends a message; returns once the push service has taken it.

        Raises DeliveryRefused, RecipientGone and DeliveryPostponed.
        """
        origin, path = self._target(push.to)
        if self._not_before.get(origin, 0.0) > self._clock.monotonic():
            raise DeliveryPostponed("the push service wants to be left alone for now")
        body = _sealed(push)
        headers = {
            "authorization": self._vapid.authorization(origin),
            "content-type": "application/octet-stream",
            "content-encoding": "aes128gcm",
            "ttl": str(TIME_TO_LIVE),
            "urgency": "normal",
            "topic": base64url(hashlib.sha256(push.id.encode()).digest()[:24]),
        }
        try:
            with traced_post(self._tracer, origin) as span:
                answer = await self._client(origin).exchange("POST", path, body, headers)
                note_answer(span, answer)
        except (NotSent, NoAnswer) as error:
            raise DeliveryPostponed(_why(error)) from error
        self._judge(origin, answer)

    async def close(self) -> None:
        """Closes the connections."""
        while self._clients:
            await self._clients.popitem()[1].close()

    def _client(self, origin: str) -> HttpClient:
        if origin not in self._clients:
            self._clients[origin] = HttpClient(origin, _TIMEOUT)
        return self._clients[origin]

    def _target(self, to: PushSubscription) -> tuple[str, str]:
        try:
            url = urlsplit(to.endpoint)
            known = self._is_service(url) and "@" not in url.netloc
        except ValueError:
            known = False
        if not known:
            raise RecipientGone("the subscription names no push service that is known")
        return f"{url.scheme}://{url.netloc}", f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"

    def _is_service(self, url: SplitResult) -> bool:
        host = url.hostname or ""
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
            return False
        return host in self._services or f"*.{host.partition('.')[2]}" in self._services

    def _judge(self, origin: str, answer: HttpResponse) -> None:
        status = answer.status
        if status // 100 == 2:
            return
        words = f"the push service answered {status}"
        if status in _GONE:
            raise RecipientGone(words)
        if status in _OURS:
            self._vapid.forget(origin)
            raise DeliveryPostponed(f"{words}: it does not accept our key")
        if status == _TOO_MANY or status >= _SERVER_ERROR:
            wait = retry_after(answer.headers, self._clock.now())
            self._not_before[origin] = self._clock.monotonic() + wait
            raise DeliveryPostponed(words)
        raise DeliveryRefused(words)


def _why(error: Exception) -> str:
    """Says why there was no answer; a certificate that is not trusted is nothing that passes by itself."""
    if isinstance(error.__cause__, SSLCertVerificationError):
        return f"the certificate of the push service is not trusted: {error.__cause__.verify_message}"
    return "the push service does not answer"


def _sealed(push: Push) -> bytes:
    if len(push.content) > LONGEST:
        raise DeliveryRefused("the message is too long")
    try:
        keys = ReaderKeys(from_base64url(push.to.public_key), from_base64url(push.to.secret))
        return encrypted(push.content, keys)
    except ValueError as error:
        raise RecipientGone(f"the keys of the browser are none: {error}") from None
