"""Servers that drip, pour or fall silent hold nobody: mail is bounded in time and in bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from closedloop_integrations.deliveries.gateway import Letter
from closedloop_integrations.deliveries.smtp import SmtpGateway
from closedloop_integrations.mail.imap import ImapMailbox, TooLargeError
from closedloop_integrations.mail.poller import fetch_new
from closedloop_integrations.outbound import NotSentError, OutsideError
from closedloop_integrations.polling import Turn
from closedloop_integrations.sources.rules import PollRules

pytestmark = pytest.mark.timeout(60)

HASTY = PollRules(timeout_seconds=1, max_bytes=100_000)
# What a whole exchange may take here, on however busy a machine; unbounded ones would take minutes.
SOON = 20
HEAD = b'* 1 FETCH (UID 1 INTERNALDATE "05-Jan-2026 09:00:00 +0800" BODY[] '


@contextmanager
def served(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of one connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    speak(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def imap(content: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """An IMAP server with one message said to have 100 bytes, whose text is `content`'s."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        for line in connection.makefile("rb"):
            tag, command = line.split()[:2]
            if b"BODY.PEEK" in line:
                content(connection)
            elif b"RFC822.SIZE" in line:
                connection.sendall(b"* 1 FETCH (UID 1 RFC822.SIZE 100)\r\n")
            elif command == b"CAPABILITY":
                connection.sendall(b"* CAPABILITY IMAP4rev1\r\n")
            elif command == b"EXAMINE":
                connection.sendall(b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n")
            connection.sendall(tag + b" OK done\r\n")

    return speak


def drip(connection: socket.socket, line: bytes) -> None:
    for _ in range(600):
        connection.sendall(line)
        time.sleep(0.1)


def large(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"{314572800}\r\n")
    for _ in range(300):
        connection.sendall(b"x" * 1_048_576)


def many(connection: socket.socket) -> None:
    for _ in range(100_000):
        connection.sendall(HEAD + b"{1000}\r\n" + b"x" * 1000 + b")\r\n")


def slow(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"{1000}\r\n")
    drip(connection, b"x")


@pytest.mark.mission("S69")
@pytest.mark.parametrize(("content", "error"), [(large, TooLargeError), (many, TooLargeError), (slow, OutsideError)])
def test_a_mailbox_that_pours_or_drips_is_left(content: Any, error: type[Exception]) -> None:
    with served(imap(content)) as port:
        begun = time.monotonic()
        with ImapMailbox(f"imap://u:p@127.0.0.1:{port}/INBOX", HASTY) as mailbox:
            assert [each.uid for each in mailbox.after(0)] == [1]
            with pytest.raises(error):
                mailbox.fetch(1)
        assert time.monotonic() - begun < SOON


@pytest.mark.mission("S69")
def test_a_mail_larger_than_was_said_is_refused_and_not_asked_for_again() -> None:
    class Desk:
        seen: list[Any] = []

        def now(self) -> datetime:
            return datetime(2026, 1, 5, tzinfo=UTC)

        def observe(self, message: Any, *_: Any, **__: Any) -> None:
            self.seen.append(message)

    turn = Turn("mail", "inbox", datetime(2026, 1, 5, tzinfo=UTC), HASTY, {})
    with served(imap(large)) as port, ImapMailbox(f"imap://u:p@127.0.0.1:{port}/INBOX", HASTY) as mailbox:
        fetch_new(Desk(), turn, mailbox)  # type: ignore[arg-type]
    assert [message.reason for message in Desk.seen] == ["MAIL_TOO_LARGE"]
    assert (turn.cursor, turn.refused, turn.read, turn.unfinished) == ({"validity": 1, "uid": 1}, 1, 0, True)


@pytest.mark.mission("S73")
@pytest.mark.parametrize("greeting", [b"220-wait\r\n", b"2"], ids=["line by line", "byte by byte"])
def test_a_gateway_that_greets_for_ever_is_left(greeting: bytes) -> None:
    with served(lambda connection: drip(connection, greeting)) as port:
        _refused(port)


@pytest.mark.mission("S73")
def test_a_gateway_that_greets_without_end_is_left() -> None:
    def pour(connection: socket.socket) -> None:
        for _ in range(10_000):
            connection.sendall(b"220-welcome\r\n" * 10_000)

    with served(pour) as port:
        _refused(port)


@pytest.mark.mission("S73")
@pytest.mark.parametrize(("last", "outcome"), [(b"DATA", "unknown"), (b"RCPT", "deferred")])
def test_a_gateway_that_falls_to_dripping_leaves_no_doubt_but_after_the_content(last: bytes, outcome: str) -> None:
    def speak(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        lines = connection.makefile("rb")
        for line in lines:
            if line.upper().startswith(b"DATA"):
                connection.sendall(b"354 go on\r\n")
                while lines.readline() not in (b".\r\n", b""):
                    pass
            if line.upper().startswith(last):
                drip(connection, b"250-not yet\r\n")
            connection.sendall(b"250 fine\r\n")

    with served(speak) as port:
        begun = time.monotonic()
        with _gateway(port) as gateway:
            letter = Letter("d", "wang@school.cn", "", "", "", "新品", "您好", "<d@ours.cn>", "", "", "service")
            assert gateway.send(letter).outcome == outcome
        assert time.monotonic() - begun < SOON


def _gateway(port: int) -> SmtpGateway:
    return SmtpGateway(f"smtp://127.0.0.1:{port}", "Ours <us@ours.cn>", HASTY, datetime(2026, 1, 5, tzinfo=UTC))


def _refused(port: int) -> None:
    begun = time.monotonic()
    with _gateway(port) as gateway, pytest.raises(NotSentError):
        gateway._connect()
    assert time.monotonic() - begun < SOON
