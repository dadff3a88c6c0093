"""SMTP and IMAP connections whose every exchange ends in time and in bytes, whatever the other side drips or pours.

The standard library bounds each wait for a byte alone, and reads a literal as long as it is announced.
"""

from __future__ import annotations

import imaplib
import io
import smtplib
import socket
import ssl
import time
from typing import Any

from closedloop_integrations.sources.rules import PollRules

# What TLS sends at once.
PIECE = 16_384


class TooMuchError(OSError):
    """More bytes than we bear."""


class Pace:
    """Bounds one exchange after the other: `timeout_seconds` for each, and longer only while bytes come or go at the rulebook's
    least rate; `max_bytes` of answers."""

    def __init__(self, limits: PollRules) -> None:
        self._limits = limits
        self.begin()

    def begin(self, seconds: float = 0.0) -> None:
        """The next exchange; `seconds` instead of the rulebook's."""
        self._until = time.monotonic() + (seconds or self._limits.timeout_seconds)
        self._received = 0

    def left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        return left

    def expect(self, count: int) -> None:
        if self._received + count > self._limits.max_bytes:
            raise TooMuchError(f"an answer of more than {self._limits.max_bytes} bytes")

    def received(self, count: int) -> None:
        self.expect(count)
        self._received += count
        self.moved(count)

    def moved(self, count: int) -> None:
        self._until += count / self._limits.least_bytes_per_second


class _Answers(io.RawIOBase):
    """What a socket receives, at a pace."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock, self._pace = sock, pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._pace.left())
        count = self._sock.recv_into(buffer)
        self._pace.received(count)
        return count


def _read(sock: socket.socket, pace: Pace) -> io.BufferedReader:
    return io.BufferedReader(_Answers(sock, pace))


class PacedSmtp(smtplib.SMTP):
    """Not encrypted, or with `starttls` afterwards."""

    def __init__(self, host: str, port: int, pace: Pace) -> None:
        self.pace = pace
        super().__init__(host, port, timeout=pace.left())

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _read(self.sock, self.pace)
        return super().getreply()

    def send(self, s: Any) -> None:
        data = s.encode(self.command_encoding) if isinstance(s, str) else bytes(s)
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            if self.sock is not None:
                self.sock.settimeout(self.pace.left())
            super().send(piece)
            self.pace.moved(len(piece))


class PacedSmtps(PacedSmtp):
    """Encrypted from the first byte."""

    def __init__(self, host: str, port: int, pace: Pace, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(host, port, pace)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._context.wrap_socket(socket.create_connection((host, port), timeout), server_hostname=host)


class PacedImap(imaplib.IMAP4):
    """Encrypted where there is a context."""

    def __init__(self, host: str, port: int, pace: Pace, context: ssl.SSLContext | None = None) -> None:
        self.pace, self._context = pace, context
        super().__init__(host, port, timeout=pace.left())

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock = socket.create_connection((host, port), timeout)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=host)
        self.file = _read(self.sock, self.pace)

    def read(self, size: int) -> bytes:
        # Looked at before it is read: the buffer is made in one piece.
        self.pace.expect(size)
        return super().read(size)

    def send(self, data: Any) -> None:
        self.sock.settimeout(self.pace.left())
        super().send(data)
