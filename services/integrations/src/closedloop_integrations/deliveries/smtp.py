"""Mail leaves by SMTP, with a Message-ID of ours, so that answers and bounces find their message."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Self
from urllib.parse import unquote, urlsplit

from closedloop_integrations.deliveries.gateway import Letter, Receipt
from closedloop_integrations.deliveries.mailboxes import MalformedError, routed
from closedloop_integrations.outbound import NotSentError, SlowDownError, in_one_line
from closedloop_integrations.paced import Pace, PacedSmtp, PacedSmtps
from closedloop_integrations.sources.rules import PollRules

# "Too many connections" and its kin.
TOO_MANY = (421, 450, 452)


class SmtpGateway:
    """`url`: smtp://, smtp+starttls:// or smtps:// with credentials; connects when the first letter is there."""

    def __init__(self, url: str, mail_from: str, limits: PollRules, now: datetime) -> None:
        self._url = urlsplit(url)
        self._from_name, self._from_address = parseaddr(mail_from)
        self._limits = limits
        self._now = now
        self._pace = Pace(limits)
        self._connection: PacedSmtp | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            with suppress(smtplib.SMTPException, OSError):
                self._pace.begin()
                self._connection.quit()

    def send(self, letter: Letter) -> Receipt:
        connection = self._connect()
        # What is wrong with one letter is its own: it must not keep the others.
        try:
            address = routed(letter.address)
            content = self._compose(letter, address).as_bytes(policy=SMTP)
        except MalformedError as error:
            return Receipt("refused", str(error)[:300], bounced=True)
        except Exception as error:
            return Receipt("refused", f"cannot be written as a mail: {in_one_line(error)}"[:300])
        self._pace.begin()
        try:
            code, answer = connection.mail(self._from_address)
            sender_taken = code == 250
            if sender_taken:
                code, answer = connection.rcpt(address)
            if code not in (250, 251):
                if 400 <= code < 600:
                    connection.rset()
                else:
                    self._drop()
                return _refusal(code, answer, of_address=sender_taken)
        except (smtplib.SMTPException, OSError) as error:
            self._drop()
            return Receipt("deferred", in_one_line(error))
        except Exception as error:
            self._drop()
            return Receipt("refused", f"cannot be said to a server: {in_one_line(error)}"[:300])
        # From here on an answer can be lost.
        self._pace.begin()
        try:
            code, answer = connection.data(content)
        except smtplib.SMTPDataError as error:
            # The server did not even want the data. One that took them for content all the same is none to go on with.
            if not 400 <= error.smtp_code < 600:
                self._drop()
            return _refusal(error.smtp_code, error.smtp_error, of_address=False)
        except (smtplib.SMTPException, OSError) as error:
            self._drop()
            return Receipt("unknown", in_one_line(error))
        if code == 250:
            return Receipt("accepted", _text(answer), gateway_id=letter.message_id)
        if not 400 <= code < 600:
            # The content is there, and this says neither that it was taken nor that it was not.
            self._drop()
            return Receipt("unknown", f"{code} {_text(answer)}")
        return _refusal(code, answer, of_address=False)

    def _drop(self) -> None:
        """What is still on the way would be read as the answer to something else."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> PacedSmtp:
        if self._connection is not None:
            return self._connection
        parts, host = self._url, self._url.hostname or ""
        self._pace.begin()
        try:
            if parts.scheme == "smtps":
                self._connection = PacedSmtps(host, parts.port or 465, self._pace, ssl.create_default_context())
            else:
                self._connection = PacedSmtp(host, parts.port or 587, self._pace)
            if parts.scheme == "smtp+starttls":
                self._connection.starttls(context=ssl.create_default_context())
            self._connection.ehlo_or_helo_if_needed()
            if parts.username:
                self._connection.login(unquote(parts.username), unquote(parts.password or ""))
        except smtplib.SMTPResponseException as error:
            self._drop()
            if error.smtp_code in TOO_MANY:
                raise SlowDownError(self._limits.patience_seconds) from error
            raise NotSentError(f"SMTP {error.smtp_code}: {_text(error.smtp_error)}") from error
        except (smtplib.SMTPException, OSError) as error:
            self._drop()
            raise NotSentError(in_one_line(error)) from error
        return self._connection

    def _compose(self, letter: Letter, address: str) -> EmailMessage:
        message = EmailMessage()
        # Answers come to our mailbox, whoever wrote.
        message["From"] = Address(letter.sender_name or self._from_name, addr_spec=self._from_address)
        message["To"] = Address(letter.recipient_name, addr_spec=address)
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(self._now)
        message["Message-ID"] = letter.message_id
        if letter.in_reply_to:
            message["In-Reply-To"], message["References"] = letter.in_reply_to, letter.references
        if letter.unsubscribe:
            # RFC 2369 and 8058: mail programs show a button and post to it by themselves.
            message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(letter.text, cte="base64")
        if letter.html:
            message.add_alternative(letter.html, subtype="html", cte="base64")
        return message


def _refusal(code: int, answer: bytes | str, *, of_address: bool) -> Receipt:
    """Of what certainly was not taken: refused for good with 5xx, else to be tried again."""
    detail = f"{code} {_text(answer)}"
    if 500 <= code < 600:
        return Receipt("refused", detail, bounced=of_address and code in (550, 551, 553))
    return Receipt("deferred", detail)


def _text(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:300]
