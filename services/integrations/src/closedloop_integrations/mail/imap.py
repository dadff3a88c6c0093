"""A mailbox over IMAP, read without leaving a trace: nothing is marked as seen, nothing is deleted."""

from __future__ import annotations

import imaplib
import re
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self
from urllib.parse import unquote, urlsplit

from closedloop_integrations.outbound import OutsideError, in_one_line
from closedloop_integrations.paced import Pace, PacedImap, TooMuchError
from closedloop_integrations.sources.rules import PollRules

IDLE_TAG = b"LISTEN"
_SIZE = re.compile(rb"UID (\d+)[^)]*?RFC822\.SIZE (\d+)|RFC822\.SIZE (\d+)[^)]*?UID (\d+)")
_ARRIVED = re.compile(rb'INTERNALDATE "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in the mailbox that was not fetched yet; `size` in bytes."""

    uid: int
    size: int


class TooLargeError(OutsideError):
    """A message is larger than we read, whatever the server said before. Nothing more can be asked of the connection."""


class UngivenError(OutsideError):
    """The server is well, but does not give this message."""


class Mailbox(Protocol):
    """Used in a `with`. Everything raises OutsideError when the server fails us."""

    folder: str
    uid_validity: int

    def after(self, uid: int) -> list[Waiting]:
        """Messages with a greater UID, in order."""
        ...

    def fetch(self, uid: int) -> tuple[bytes, datetime | None]:
        """The raw message and when it arrived. Raises TooLargeError, UngivenError."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ImapMailbox:
    """`url`: imap(s)://user:password@host[:port][/folder]; connects on entry."""

    def __init__(self, url: str, limits: PollRules) -> None:
        self._url = urlsplit(url)
        self._pace = Pace(limits)
        self.folder = unquote(self._url.path.strip("/")) or "INBOX"
        self.uid_validity = 0
        self._connection: PacedImap | None = None

    def __enter__(self) -> Self:
        parts = self._url
        self._pace.begin()
        try:
            context = ssl.create_default_context() if parts.scheme == "imaps" else None
            port = parts.port or (143 if context is None else 993)
            self._connection = PacedImap(parts.hostname or "", port, self._pace, context)
            self._connection.login(unquote(parts.username or ""), unquote(parts.password or ""))
            # EXAMINE: the server itself keeps us from changing anything.
            self._told(self._connection.select(f'"{self.folder}"', readonly=True))
            validity = self._connection.response("UIDVALIDITY")[1]
            self.uid_validity = int(validity[0]) if validity and validity[0] else 0
        except (imaplib.IMAP4.error, OSError, ValueError) as error:
            self._give_up()
            raise OutsideError(in_one_line(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._pace.begin()
            with suppress(imaplib.IMAP4.error, OSError):
                self._connection.logout()

    def after(self, uid: int) -> list[Waiting]:
        answer = self._uid("FETCH", f"{uid + 1}:*", "(UID RFC822.SIZE)")
        found = []
        for line in answer:
            raw = line[0] if isinstance(line, tuple) else line
            match = _SIZE.search(raw or b"")
            if match:
                number, size = (match[1], match[2]) if match[1] else (match[4], match[3])
                found.append(Waiting(int(number), int(size)))
        # "5:*" names the last message even where its UID is less than 5.
        return sorted((each for each in found if each.uid > uid), key=lambda each: each.uid)

    def fetch(self, uid: int) -> tuple[bytes, datetime | None]:
        for line in self._uid("FETCH", str(uid), "(UID INTERNALDATE BODY.PEEK[])"):
            if isinstance(line, tuple) and len(line) == 2:
                arrived = _ARRIVED.search(line[0])
                return bytes(line[1]), _instant(arrived[1].decode()) if arrived else None
        raise UngivenError(f"the message {uid} is gone")

    def wait(self, seconds: float) -> bool:
        """Until something arrives (RFC 2177); False where nothing does in time. The last thing asked of the connection.

        Raises OutsideError where the server knows no IDLE."""
        assert self._connection is not None
        connection, until = self._connection, time.monotonic() + seconds
        if "IDLE" not in connection.capabilities:
            raise OutsideError("the server knows no IDLE")
        try:
            self._pace.begin(seconds)
            connection.send(IDLE_TAG + b" IDLE\r\n")
            while time.monotonic() < until:
                line = connection.readline()
                if not line or line.startswith(IDLE_TAG):
                    raise OutsideError("the server ended the IDLE")
                if line.rstrip().endswith(b"EXISTS"):
                    return True
            return False
        except TimeoutError:
            return False
        except (imaplib.IMAP4.error, OSError) as error:
            raise OutsideError(in_one_line(error)) from error
        finally:
            self._end_idle(connection)

    def _end_idle(self, connection: imaplib.IMAP4) -> None:
        """What imaplib would still read is ours; the connection is given up."""
        with suppress(imaplib.IMAP4.error, OSError):
            self._pace.begin()
            connection.send(b"DONE\r\n")
        self._give_up()

    def _uid(self, *arguments: str) -> list[Any]:
        assert self._connection is not None
        self._pace.begin()
        try:
            return self._told(self._connection.uid(*arguments))
        except TooMuchError as error:
            self._give_up()
            raise TooLargeError(in_one_line(error)) from error
        except (imaplib.IMAP4.error, OSError) as error:
            self._give_up()
            raise OutsideError(in_one_line(error)) from error

    def _give_up(self) -> None:
        """What is still on the way is not waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                connection.shutdown()

    def _told(self, answer: tuple[str, list[Any]]) -> list[Any]:
        status, data = answer
        if status != "OK":
            raise UngivenError(f"IMAP {status}: {data[0]!r}"[:300])
        return data


def _instant(text: str) -> datetime | None:
    """ "05-Jan-2026 09:00:00 +0800"."""
    try:
        return parsedate_to_datetime(text.strip().replace("-", " ", 2)).astimezone(UTC)
    except (TypeError, ValueError):
        return None
