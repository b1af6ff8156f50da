"""Sends letters to a mail server (SMTP)."""

import asyncio
from contextvars import Context

from cachetools import FIFOCache

from marketplace.notification.adapters.email_format import email_of
from marketplace.notification.adapters.smtp.connections import Envelope, NoSession, SmtpConnections, SmtpRefusal
from marketplace.notification.adapters.smtp.replies import Verdict, is_put_off, reply_in_words, verdict_of
from marketplace.notification.domain import Letter, Sender
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from souk.sdk import Clock, SpanKind, Tracer, current, logger, recorded

REMEMBERED = 1_000
"""How many letters are remembered by their ids."""
PUT_OFF_FOR = 600.0
"""How long a server may put one mail off while it takes others, in seconds."""
REPLY = "souk.smtp.reply_code"
"""The attribute of a span with the code of a refusal; OpenTelemetry has no conventions for SMTP."""
LAST_ONES = 5.0
"""How long `drain` waits for mails that are being sent, in seconds."""

_log = logger("notification")


class SmtpPostman:
    """Implements the port Postman.

    At least once: a letter whose mail may have been taken is sent again, with the same Message-ID. A mail goes on
    being sent when the one who waits for it gives up, as events have a shorter limit than slow mail servers need; when
    its event comes again, that waits for the same mail, and what was sent meanwhile is not sent again by this process.

    A mail that is put off (4xx) holds up others of its partition, so it is refused after `put_off_for` seconds if other
    mails were taken meanwhile. `tracer` records mails, each in the trace of the first one who has waited for it.
    """

    def __init__(
        self,
        connections: SmtpConnections,
        sender: Sender,
        clock: Clock,
        put_off_for: float = PUT_OFF_FOR,
        tracer: Tracer | None = None,
    ) -> None:
        self._connections, self._sender, self._clock, self._tracer = connections, sender, clock, tracer
        self._put_off_for = put_off_for
        self._put_off: FIFOCache[str, float] = FIFOCache(REMEMBERED)
        self._last_taken = clock.monotonic()
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._sent: FIFOCache[str, bool] = FIFOCache(REMEMBERED)
        self._trouble = ""

    async def take(self, letter: Letter) -> None:
        """Sends the letter; returns once the server has taken it.

        Raises DeliveryRefused, RecipientGone, and DeliveryPostponed while no mail can be sent at all.
        """
        if letter.id in self._sent:
            return
        sending = self._sending.get(letter.id)
        if sending is None:
            mail = Envelope(self._sender.address, letter.to.email, email_of(letter, self._sender))
            sending = asyncio.get_running_loop().create_task(
                self._send(letter.id, mail, current().traceparent), context=Context()
            )
            self._sending[letter.id] = sending
            sending.add_done_callback(_retrieved)
        await asyncio.shield(sending)

    async def drain(self) -> None:
        """Waits for mails that are being sent, but not for long."""
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=LAST_ONES)

    async def close(self) -> None:
        """Ends what is being sent, and the connections."""
        running = tuple(self._sending.values())
        for sending in running:
            sending.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._connections.close()

    async def _send(self, letter_id: str, mail: Envelope, traceparent: str) -> None:
        try:
            await self._traced(mail, traceparent)
        except NoSession as error:
            self._note_trouble(str(error))
            raise DeliveryPostponed(str(error)) from error
        except SmtpRefusal as refusal:
            self._judge(letter_id, refusal)
        else:
            self._note_taken(letter_id)
        finally:
            del self._sending[letter_id]

    async def _traced(self, mail: Envelope, traceparent: str) -> None:
        where = self._connections.server
        with recorded(self._tracer, "smtp send", SpanKind.CLIENT, {**where}, parent=traceparent) as span:
            try:
                await self._connections.send(mail)
            except SmtpRefusal as refusal:
                if span is not None:
                    span.attributes[REPLY] = refusal.code
                raise

    def _judge(self, letter_id: str, refusal: SmtpRefusal) -> None:
        words = reply_in_words(refusal.stage, refusal.code, refusal.text)
        match verdict_of(refusal.stage, refusal.code, refusal.text):
            case Verdict.GIVE_UP:
                raise DeliveryRefused(words)
            case Verdict.SUPPRESS:
                raise RecipientGone(words)
            case Verdict.RETRY:
                if is_put_off(refusal.stage, refusal.code) and self._put_off_for_too_long(letter_id):
                    raise DeliveryRefused(f"{words}, for {self._put_off_for:g} s while other mails were taken")
                self._note_trouble(words)
                raise DeliveryPostponed(words)

    def _put_off_for_too_long(self, letter_id: str) -> bool:
        now = self._clock.monotonic()
        first = self._put_off.setdefault(letter_id, now)
        return now - first >= self._put_off_for and self._last_taken > first

    def _note_trouble(self, words: str) -> None:
        """Logs what prevents mails, once for each cause in a row: while it lasts, every mail is tried often."""
        if words != self._trouble:
            self._trouble = words
            _log.warning("mails wait, because they cannot be sent", reason=words)

    def _note_taken(self, letter_id: str) -> None:
        if self._trouble:
            self._trouble = ""
            _log.info("mails are sent again")
        self._last_taken = self._clock.monotonic()
        self._put_off.pop(letter_id, None)
        self._sent[letter_id] = True


def _retrieved(sending: "asyncio.Task[None]") -> None:
    if not sending.cancelled():
        sending.exception()  # nobody may be waiting for it any more
