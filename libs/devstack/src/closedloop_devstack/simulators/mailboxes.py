"""Mailboxes: what SMTP delivers into and IMAP reads from. Safe to use from any thread."""

from __future__ import annotations

import email
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.message import EmailMessage


@dataclass
class StoredMessage:
    """A message as it arrived (`raw`, CRLF), its IMAP flags and its arrival."""

    uid: int
    raw: bytes
    received: datetime
    flags: set[str] = field(default_factory=set)

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=policy.default)

    @property
    def subject(self) -> str:
        return str(self.message["subject"] or "")

    @property
    def text(self) -> str:
        """The plain text part with plain line ends, "" where there is none."""
        part = self.message.get_body(("plain",))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


class Mailbox:
    """The INBOX of an address. UIDs only grow; `renumber` makes all of them void, as a restored server does."""

    def __init__(self, address: str, seed: int) -> None:
        self.address = address
        self.uidvalidity = (zlib.crc32(address.encode()) + seed) % 0xFFFF_FFFE + 1
        self.uidnext = 1
        self.messages: list[StoredMessage] = []
        self.lock = threading.RLock()
        self._watchers: set[Callable[[], object]] = set()

    def add(self, raw: bytes, received: datetime) -> StoredMessage:
        with self.lock:
            stored = StoredMessage(self.uidnext, raw, received)
            self.uidnext += 1
            self.messages.append(stored)
        self._changed()
        return stored

    def expunge(self) -> None:
        with self.lock:
            self.messages = [message for message in self.messages if "\\Deleted" not in message.flags]
        self._changed()

    def renumber(self) -> None:
        with self.lock:
            self.uidvalidity = self.uidvalidity % 0xFFFF_FFFF + 1
            for uid, message in enumerate(self.messages, 1):
                message.uid = uid
            self.uidnext = len(self.messages) + 1

    @contextmanager
    def watched(self, watcher: Callable[[], object]) -> Iterator[None]:
        """Within, `watcher` is called after every arrival and removal, in the thread that caused it."""
        with self.lock:
            self._watchers.add(watcher)
        try:
            yield
        finally:
            with self.lock:
                self._watchers.discard(watcher)

    def _changed(self) -> None:
        with self.lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher()
