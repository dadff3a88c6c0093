"""A mail server: SMTP takes every message for every address, IMAP reads it back.

One password for all addresses; a mailbox exists from the first delivery or login on. SMTP offers AUTH (PLAIN, LOGIN)
without TLS and does not insist on it; with a `tls` context there is STARTTLS, and `smtps_port` and `imaps_port` speak TLS
from the first byte. `refused` addresses are unknown here (550 5.1.1), the next `deferrals` messages
are put off (451).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses, parseaddr
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from closedloop_devstack.simulators.imap import MAX_COMMAND, ImapSession
from closedloop_devstack.simulators.mailboxes import Mailbox, StoredMessage
from closedloop_devstack.simulators.server import utc_now

DOMAIN = "mail.closedloop.test"


class MailServer:
    """`port` is SMTP's, `imap_port` IMAP's; 0 picks a free one and keeps it. `clock` stamps arrivals."""

    def __init__(
        self,
        port: int = 0,
        imap_port: int = 0,
        *,
        host: str = "127.0.0.1",
        seed: int = 1,
        password: str = "closedloop",
        clock: Callable[[], datetime] = utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self.smtps_port = self.imaps_port = 0
        self.host, self.port, self.imap_port = host, port, imap_port
        self.seed, self.password, self.clock = seed, password, clock
        self.refused: set[str] = set()
        self.deferrals = 0
        self.boxes: dict[str, Mailbox] = {}
        self._lock = threading.RLock()
        self._replies = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port} imap://{self.host}:{self.imap_port}"

    def mailbox(self, address: str) -> Mailbox:
        """The mailbox of an address (without display name, in any case), made when missing."""
        name = address.strip().lower()
        with self._lock:
            return self.boxes.setdefault(name, Mailbox(name, self.seed))

    def deliver(self, raw: bytes, to: str | None = None) -> list[StoredMessage]:
        """Puts a message into the mailbox `to`, or into those of everybody in its To and Cc."""
        message = message_from_bytes(raw)
        named = getaddresses([str(value) for value in message.get_all("to", []) + message.get_all("cc", [])])
        addresses = [to] if to else [address for _, address in named if "@" in address]
        content = b"\r\n".join(raw.splitlines()) + b"\r\n"
        return [self.mailbox(address).add(content, self.clock()) for address in dict.fromkeys(addresses)]

    def reply(self, to_message: bytes | StoredMessage, text: str, from_: str) -> StoredMessage:
        """Answers as a person would, threaded and quoting: from `from_` ("Name <address>") to the sender's mailbox."""
        raw = to_message.raw if isinstance(to_message, StoredMessage) else to_message
        original = message_from_bytes(raw, policy=policy.default)
        with self._lock:
            self._replies += 1
            number = self._replies
        answer = EmailMessage()
        to, subject = str(original["reply-to"] or original["from"]), str(original["subject"] or "")
        answer["From"], answer["To"] = from_, to
        answer["Subject"] = subject if subject.lower().startswith(("re:", "回复:", "回复：")) else f"Re: {subject}"
        answer["Date"] = format_datetime(self.clock())
        answer["Message-ID"] = f"<reply-{self.seed}-{number}@{DOMAIN}>"
        if original["message-id"]:
            thread = f"{original['references'] or ''} {original['message-id']}".split()
            answer["In-Reply-To"], answer["References"] = str(original["message-id"]), " ".join(thread)
        part = original.get_body(("plain",))
        quoted = "\n".join(f"> {line}" for line in (str(part.get_content()) if part else "").splitlines())
        answer.set_content(f"{text}\n\n{original['date']} {original['from']}:\n{quoted}\n")
        return self.deliver(answer.as_bytes(policy=policy.SMTP), parseaddr(to)[1])[0]

    def start(self) -> Self:
        """Returns when both ports answer. Raises OSError when one is taken."""
        listeners: list[socket.socket] = []
        try:
            ports = (self.port, self.imap_port, self.smtps_port, self.imaps_port)
            for port in ports[: 4 if self.tls else 2]:
                listeners.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                listeners[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listeners[-1].bind((self.host, port))
        except OSError:
            for listener in listeners:
                listener.close()
            raise
        bound = [listener.getsockname()[1] for listener in listeners]
        self.port, self.imap_port, self.smtps_port, self.imaps_port = bound if self.tls else [*bound, 0, 0]
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(self._loop, listeners, ready), name="MailServer", daemon=True
        )
        self._thread.start()
        if not ready.wait(10):
            raise OSError("the mail server did not start")
        return self

    def stop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def authenticate(self, address: str, password: str) -> Mailbox | None:
        return self.mailbox(address) if password == self.password else None

    # What aiosmtpd calls.

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.lower() in self.refused:
            return "550 5.1.1 mailbox unknown"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        with self._lock:
            if self.deferrals > 0:
                self.deferrals -= 1
                return "451 4.7.1 try again later"
        arrival = format_datetime(self.clock())
        for address in dict.fromkeys(envelope.rcpt_tos):
            trace = (
                f"Return-Path: <{envelope.mail_from}>\r\nDelivered-To: {address}\r\n"
                f"Received: from {session.host_name} by {DOMAIN} with ESMTP; {arrival}\r\n"
            )
            self.deliver(trace.encode() + cast(bytes, envelope.original_content), address)
        return "250 2.0.0 taken"

    def _check_login(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == self.password.encode()
        return AuthResult(success=right, handled=False)

    def _serve(self, loop: asyncio.AbstractEventLoop, listeners: list[socket.socket], ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)

        def speak_smtp() -> SMTP:
            return SMTP(
                self,
                hostname=DOMAIN,
                loop=loop,
                authenticator=self._check_login,
                auth_require_tls=False,
                enable_SMTPUTF8=True,
                tls_context=self.tls,
            )

        async def speak_imap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await ImapSession(self, reader, writer).run()

        async def listen() -> list[asyncio.Server]:
            smtp, imap, *encrypted = listeners
            open_ = [
                await loop.create_server(speak_smtp, sock=smtp),
                await asyncio.start_server(speak_imap, sock=imap, limit=MAX_COMMAND),
            ]
            if encrypted:
                smtps, imaps = encrypted
                open_.append(await loop.create_server(speak_smtp, sock=smtps, ssl=self.tls))
                open_.append(await asyncio.start_server(speak_imap, sock=imaps, limit=MAX_COMMAND, ssl=self.tls))
            return open_

        servers = loop.run_until_complete(listen())
        ready.set()
        loop.run_forever()
        for server in servers:
            server.close()
        open_ = asyncio.all_tasks(loop)
        for task in open_:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*open_, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
