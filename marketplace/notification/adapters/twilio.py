"""Sends text messages over a provider with Twilio's HTTP API.

Sources: Twilio's documentation, "Message resource", "Error and warning dictionary" and "Validating requests".
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from marketplace.notification.adapters.http_answers import retry_after
from marketplace.notification.adapters.http_calls import note_answer, traced_post
from marketplace.notification.domain import Sms
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from marketplace.notification.settings import SmsSettings
from souk.sdk import Clock, HttpClient, HttpResponse, NoAnswer, NotSent, Tracer

LONGEST = 1_600
"""The most characters of a text message."""
_GONE = frozenset({21211, 21610, 21614})
"""No valid number, one whose owner has unsubscribed (STOP), and one that is of no mobile phone."""
_OURS = frozenset({20003, 20005, 21212, 21603, 21606, 21659, 21660})
"""Our login, our account, or our sender's number: every message would be refused."""
_OUR_STATUSES = frozenset({401, 403, 404})
_TOO_MANY, _SERVER_ERROR = 429, 500


class TwilioSms:
    """Implements the port SmsSender. A message whose answer is lost is sent again, so it may arrive twice."""

    def __init__(self, settings: SmsSettings, clock: Clock, tracer: Tracer | None = None) -> None:
        self._settings, self._clock, self._tracer = settings, clock, tracer
        self._client = HttpClient(settings.url, settings.timeout)
        self._not_before = 0.0
        login = b64encode(f"{settings.account}:{settings.token}".encode()).decode()
        self._headers = {"authorization": f"Basic {login}", "content-type": "application/x-www-form-urlencoded"}
        self._path = f"/2010-04-01/Accounts/{quote(settings.account, safe='')}/Messages.json"

    async def send(self, sms: Sms) -> None:
        """Sends a text message; returns once the provider has taken it.

        Raises DeliveryRefused, RecipientGone and DeliveryPostponed.
        """
        if self._not_before > self._clock.monotonic():
            raise DeliveryPostponed("the SMS provider wants to be left alone for now")
        form = urlencode({"To": sms.to, "From": self._settings.sender, "Body": sms.text[:LONGEST]}).encode()
        try:
            with traced_post(self._tracer, self._settings.url) as span:
                answer = await self._client.exchange("POST", self._path, form, self._headers)
                note_answer(span, answer)
        except (NotSent, NoAnswer) as error:
            raise DeliveryPostponed("the SMS provider does not answer") from error
        self._judge(answer)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def _judge(self, answer: HttpResponse) -> None:
        status = answer.status
        if status // 100 == 2:
            return
        code = _code(answer.body)
        words = f"the SMS provider answered {status} {code or ''}".rstrip()
        if status == _TOO_MANY or status >= _SERVER_ERROR:
            self._not_before = self._clock.monotonic() + retry_after(answer.headers, self._clock.now())
            raise DeliveryPostponed(words)
        if code in _GONE:
            raise RecipientGone(words)
        if code in _OURS or status in _OUR_STATUSES:
            raise DeliveryPostponed(f"{words}: our account or number is not accepted")
        raise DeliveryRefused(words)


def signature_of(token: str, url: str, form: Mapping[str, str]) -> str:
    """Returns the X-Twilio-Signature of a request of the provider's with this form to this URL."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()


def is_signed(token: str, url: str, form: Mapping[str, str], signature: str) -> bool:
    """Returns whether a request comes from the provider."""
    return hmac.compare_digest(signature_of(token, url, form).encode(), signature.encode())


def _code(body: bytes) -> int:
    try:
        found: Any = orjson.loads(body)
    except ValueError:
        return 0
    code = found.get("code") if isinstance(found, dict) else None
    return code if isinstance(code, int) else 0
