"""Reads a raw mail (RFC 5322, MIME) of any shape, in time that grows with its length alone. Nothing raises but a message
without any header, or one that Python's own reader falls over.

What is broken is mended and said so: `CHARSET_GUESSED`, `HEADER_REPAIRED`, `DATE_UNREADABLE`, `FROM_UNREADABLE`,
`HTML_ONLY`, `MESSAGE_ID_MADE`, `PARTS_LEFT_OUT`.
"""

from __future__ import annotations

import email
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from itertools import islice

from closedloop_integrations import charsets, markup
from closedloop_integrations.mail import wrapping

MAX_PARTS = 200
MAX_TEXT = 200_000
# Of one header line, folded ones joined, and of all lines of a name together: what is longer has no end that anybody reads.
MAX_HEADER = 20_000
# Parts that hold parts. Python's reader goes down by recursion, and asks at every line whether it ends each of them.
MAX_HOLDERS = 60

# Begun at the beginning of a word alone and never gone back in: a long word without an @ is read once.
_ADDRESS = re.compile(r"(?<![^\s<>@,;:\"()\[\]\\])[^\s<>@,;:\"()\[\]\\]++@[^\s<>@,;:\"()\[\]\\]+")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")
_HOLDER = re.compile(rb"^content-type\s*:\s*(?:multipart|message)/", re.I | re.M)
_NOT_TEXT = dict.fromkeys(range(32), " ") | {9: "\t", 10: "\n", 0x7F: " "}


class NotMailError(ValueError):
    """These bytes are no mail."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody named in a header; the address is lower-case."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A mail as it stands: `text` whole, with quoted history and signature. `headers`: the rest, names lower-case."""

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    sender: Party
    to: tuple[Party, ...]
    cc: tuple[Party, ...]
    subject: str
    sent_at: datetime | None
    text: str
    attachments: tuple[Attachment, ...]
    headers: dict[str, str]
    # Of a delivery report: whom it could not reach, its code, and the Message-ID of what was sent.
    failed_recipient: str
    failed_status: str
    failed_message_id: str
    # A report that no recipient failed: the mail is late, was passed on, or has arrived.
    reports_no_failure: bool
    mended: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The same for one mail however it came here: Received lines and encodings differ, this does not."""
        said = (self.message_id, self.sender.address, self.sent_at, self.subject, self.text, self.attachments)
        return hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()


class _Bounded(policy.Compat32):
    """What a header says, but not without end: parameters and encoded words take time by the square of their number."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:MAX_HEADER]


POLICY = _Bounded()


def parse(raw: bytes) -> Parsed:
    """Raises NotMailError for bytes without a header, and for what nobody foresaw: one mail stops no other."""
    try:
        return _read(raw)
    except NotMailError:
        raise
    except Exception as error:
        raise NotMailError(f"it cannot be read: {type(error).__name__}") from error


def _read(raw: bytes) -> Parsed:
    nested = sum(1 for _ in islice(_HOLDER.finditer(raw), MAX_HOLDERS + 1)) > MAX_HOLDERS
    # Of a mail that is all boxes within boxes, the header is read.
    message = (
        BytesHeaderParser(policy=POLICY).parsebytes(raw) if nested else email.message_from_bytes(raw, policy=POLICY)
    )
    if not message.keys():
        raise NotMailError("no header line")
    reader = _Reader(message)
    if nested:
        reader.mend("PARTS_LEFT_OUT")
    return reader.read(raw)


class _Reader:
    def __init__(self, message: Message) -> None:
        self.message = message
        self.mended: dict[str, None] = {}

    def read(self, raw: bytes) -> Parsed:
        plain: list[str] = []
        marked: list[str] = []
        attachments: list[Attachment] = []
        report: dict[str, str] = {}
        for number, part in enumerate(self.message.walk()):
            if number >= MAX_PARTS:
                self.mend("PARTS_LEFT_OUT")
                break
            kind = part.get_content_type()
            if kind == "message/delivery-status":
                report |= _delivery_status(part)
            elif kind in ("text/rfc822-headers", "message/rfc822-headers", "message/rfc822"):
                report.setdefault("message_id", _first_id(_text_of(part)))
            elif part.is_multipart():
                continue
            elif self._is_file(part):
                attachments.append(self._attachment(part))
            elif kind == "text/html":
                marked.append(self._body(part))
            elif kind.startswith("text/"):
                plain.append(self._body(part))
        text = "\n\n".join(part for part in plain if part.strip())
        if not text.strip() and marked:
            self.mend("HTML_ONLY")
            text = "\n\n".join(html_text(part) for part in marked)
        message_id = _first_id(self._header("message-id"))
        if not message_id:
            self.mend("MESSAGE_ID_MADE")
            message_id = f"<{hashlib.sha256(raw).hexdigest()[:32]}@unnamed.invalid>"
        senders = self._parties("from") or self._parties("sender") or self._parties("return-path")
        if not senders:
            self.mend("FROM_UNREADABLE")
        shown = (
            "auto-submitted",
            "precedence",
            "list-unsubscribe",
            "return-path",
            "authentication-results",
            "x-autoreply",
        )
        return Parsed(
            message_id=message_id,
            in_reply_to=tuple(_MESSAGE_ID.findall(self._header("in-reply-to"))),
            references=tuple(_MESSAGE_ID.findall(self._header("references")))[-100:],
            sender=senders[0] if senders else Party("", ""),
            to=tuple(self._parties("to"))[:100],
            cc=tuple(self._parties("cc"))[:100],
            subject=" ".join(self._header("subject").split())[:1000],
            sent_at=self._date(),
            text=_tidy(text)[:MAX_TEXT],
            attachments=tuple(attachments),
            headers={name: self._header(name) for name in shown if name in self.message},
            failed_recipient=report.get("recipient", ""),
            failed_status=report.get("status", ""),
            failed_message_id=report.get("message_id", ""),
            reports_no_failure="unfailed" in report and "status" not in report,
            mended=tuple(self.mended),
        )

    def mend(self, word: str) -> None:
        self.mended[word] = None

    def _header(self, name: str) -> str:
        return self._decoded(self._raw(name))

    def _raw(self, name: str) -> str:
        """All lines of the header, unfolded, still encoded."""
        values = self.message.get_all(name) or []
        lines = [re.sub(r"\r?\n[ \t]*", " ", self._line(value)) for value in values]
        return ", ".join(lines)[:MAX_HEADER] if name in ("to", "cc", "references") else "".join(lines[:1])

    def _line(self, value: object) -> str:
        # Unencoded bytes arrive as surrogates, hidden in a Header whose str() is question marks.
        chunks = getattr(value, "_chunks", None)
        raw = str(value) if chunks is None else "".join(chunk for chunk, _ in chunks)
        if any("\udc80" <= letter <= "\udcff" for letter in raw):
            self.mend("HEADER_REPAIRED")
            return self._guess(raw.encode("utf-8", "surrogateescape"), "")
        return raw

    def _decoded(self, raw: str) -> str:
        try:
            parts = decode_header(raw)
        except (ValueError, UnicodeError, HeaderParseError):
            self.mend("HEADER_REPAIRED")
            return _clean(raw)
        return _clean(
            "".join(self._guess(part, charset or "") if isinstance(part, bytes) else part for part, charset in parts)
        )

    def _parties(self, name: str) -> list[Party]:
        # Split before decoding: an encoded name may hold a comma.
        raw = self._raw(name)
        found = []
        try:
            named = getaddresses([raw])
        except RecursionError:  # a thousand opening brackets
            named = []
        for shown, address in named:
            bare = _ADDRESS.search(address) or _ADDRESS.search(shown)
            if bare:
                name_of = self._decoded(shown).strip("'\" ")
                found.append(Party(bare[0].strip(".'").casefold()[:320], name_of[:200]))
        return found or [Party(address.casefold()[:320], "") for address in _ADDRESS.findall(_clean(raw))]

    def _date(self) -> datetime | None:
        try:
            sent = parsedate_to_datetime(self._header("date"))
        except (TypeError, ValueError, OverflowError):
            self.mend("DATE_UNREADABLE")
            return None
        # A date without a zone is taken as UTC: a guess of hours is worse than none.
        sent = sent if sent.tzinfo else sent.replace(tzinfo=UTC)
        return sent.astimezone(UTC) if 1970 <= sent.year < 9999 else None

    def _is_file(self, part: Message) -> bool:
        kind = part.get_content_type()
        named = _file_name(part) != ""
        return part.get_content_disposition() == "attachment" or named or not kind.startswith("text/")

    def _attachment(self, part: Message) -> Attachment:
        content = _payload(part)
        said = _file_name(part)
        name = self._decoded(said) if isinstance(said, str) else self._extended(*said)
        kind = _clean(part.get_content_type())[:100]
        return Attachment(name[:200], kind, len(content), hashlib.sha256(content).hexdigest())

    def _extended(self, charset: str | None, language: str | None, value: str) -> str:
        """A parameter of RFC 2231, whose octets are still octets."""
        return _clean(self._guess(value.encode("raw-unicode-escape"), charset or ""))

    def _body(self, part: Message) -> str:
        # Not `get_content_charset`, which reads the charset's name in a charset that the mail names.
        said = part.get_param("charset", "")
        text = self._guess(_payload(part), str(said[2] if isinstance(said, tuple) else said))
        if part.get_content_type() == "text/plain" and str(part.get_param("format", "")).casefold() == "flowed":
            return wrapping.unflowed(text, delete_space=str(part.get_param("delsp", "")).casefold() == "yes")
        return text

    def _guess(self, content: bytes, charset: str) -> str:
        """By the charset named, else UTF-8, else GB18030, which reads anything."""
        named = charsets.codec(charset)
        for candidate in filter(None, (named, "utf-8", "gb18030")):
            try:
                text = content.decode(candidate)
            except ValueError:
                continue
            if charset and candidate != named:
                self.mend("CHARSET_GUESSED")
            return text
        self.mend("CHARSET_GUESSED")
        return content.decode(named or "utf-8", "replace")


def html_text(html: str) -> str:
    """What a reader sees of a page, without the history its client has marked as quoted."""
    try:
        tree = markup.tree(html)
    except markup.TooDeep:
        return markup.without_tags(html)
    for node in tree.css("script, style, head, blockquote, .gmail_quote, .gmail_extra, #divRplyFwdMsg, #appendonsend"):
        node.decompose()
    for node in tree.css("br"):
        node.replace_with("\n")
    for node in tree.css("p, div, li, tr, h1, h2, h3, h4, hr"):
        node.insert_after("\n")
    return tree.root.text() if tree.root is not None else ""


def _delivery_status(part: Message) -> dict[str, str]:
    """RFC 3464: the last recipient that failed. What is late, passed on or delivered has not failed."""
    blocks = part.get_payload()
    found: dict[str, str] = {}
    for block in blocks if isinstance(blocks, list) else []:
        if not isinstance(block, Message):
            continue
        status = re.search(r"\d\.\d+\.\d+", str(block.get("status") or ""))
        action = re.match(r"\s*([a-z]*)", str(block.get("action") or ""), re.I)
        word = action[1].casefold() if action else ""
        if not word and not status:
            continue
        if word != "failed" and not (status and status[0].startswith("5")):
            found.setdefault("unfailed", word or "delayed")
            continue
        found["status"] = status[0] if status else ""
        if recipient := _ADDRESS.search(str(block.get("final-recipient") or block.get("original-recipient") or "")):
            found["recipient"] = _clean(recipient[0]).casefold()
    return found


def _text_of(part: Message) -> str:
    inner = part.get_payload()
    if isinstance(inner, list):
        return "\n".join(
            f"{name}: {value}" for each in inner if isinstance(each, Message) for name, value in each.items()
        )
    return _payload(part).decode("utf-8", "replace")


def _first_id(text: str) -> str:
    labelled = re.search(r"^message-id:\s*(<[^<>\s]{1,990}>)", text, re.I | re.M)
    found = labelled[1] if labelled else (_MESSAGE_ID.search(text) or [""])[0]
    return _clean(str(found))


def _payload(part: Message) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        content = None
    return content if isinstance(content, bytes) else b""


def _file_name(part: Message) -> str | tuple[str | None, str | None, str]:
    """As `get_filename` finds it, but not yet read in the charset that the mail names."""
    named = part.get_param("filename", "", "content-disposition")
    return named or part.get_param("name", "", "content-type") or ""


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _tidy(text: str) -> str:
    """Plain line ends, no control characters, no no-break spaces, no runs of empty lines."""
    text = _clean(text).replace("\r\n", "\n").replace("\r", "\n").translate(_NOT_TEXT)
    text = text.replace("\xa0", " ").replace("\u200b", "").replace("\ufeff", "")
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
