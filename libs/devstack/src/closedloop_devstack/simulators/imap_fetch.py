"""FETCH items (RFC 3501, 6.4.5): FLAGS, UID, INTERNALDATE, RFC822.SIZE, RFC822, RFC822.HEADER, RFC822.TEXT, FAST, and
BODY[…] or BODY.PEEK[…] with "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT and a partial <from.count>.
"""

from __future__ import annotations

import re

from closedloop_devstack.simulators.imap_syntax import BadCommand, internal_date, text
from closedloop_devstack.simulators.mailboxes import StoredMessage

_PLAIN = ("FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE")
_WHOLE = {"RFC822": "BODY[]", "RFC822.TEXT": "BODY[TEXT]", "RFC822.HEADER": "BODY.PEEK[HEADER]"}
_SECTION = re.compile(r"BODY(?P<peek>\.PEEK)?\[(?P<section>[^\]]*)\](?:<(?P<start>\d+)\.(?P<count>\d+)>)?", re.I)
_FIELDS = re.compile(r"HEADER\.FIELDS(?P<excluded>\.NOT)? \((?P<names>[^)]*)\)")


def fetch_items(asked: object, by_uid: bool) -> list[str]:
    """The items of a FETCH command. Raises BadCommand for one that is not served."""
    items = [text(item).upper() for item in (asked if isinstance(asked, list) else [asked])]
    if items == ["FAST"]:
        items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]
    if by_uid and "UID" not in items:
        items.insert(0, "UID")
    for item in items:
        if item not in _PLAIN:
            found = _SECTION.fullmatch(_WHOLE.get(item, item))
            if not found or not (found["section"] in ("", "HEADER", "TEXT") or _FIELDS.fullmatch(found["section"])):
                raise BadCommand(f"FETCH {item} is not served")
    return items


def fetched(stored: StoredMessage, items: list[str], read_only: bool) -> bytes:
    """What FETCH tells of a message; reading its text marks it seen, unless peeked at or the folder is read-only."""
    before = set(stored.flags)
    parts = [_plain(stored, item) if item in _PLAIN else _content(stored, item, read_only) for item in items]
    if stored.flags != before and "FLAGS" not in items:
        parts.append(_plain(stored, "FLAGS"))
    return b" ".join(parts)


def flag_list(stored: StoredMessage) -> str:
    return f"({' '.join(sorted(stored.flags))})"


def _plain(stored: StoredMessage, item: str) -> bytes:
    values = {
        "FLAGS": flag_list(stored),
        "UID": str(stored.uid),
        "INTERNALDATE": internal_date(stored.received),
        "RFC822.SIZE": str(len(stored.raw)),
    }
    return f"{item} {values[item]}".encode()


def _content(stored: StoredMessage, item: str, read_only: bool) -> bytes:
    found = _SECTION.fullmatch(_WHOLE.get(item, item))
    assert found is not None
    content = _section(stored.raw, found["section"])
    if not found["peek"] and not read_only:
        stored.flags.add("\\Seen")
    label = item if item in _WHOLE else f"BODY[{found['section']}]"
    if found["start"] is not None:
        start = int(found["start"])
        content, label = content[start : start + int(found["count"])], f"{label}<{start}>"
    return f"{label} {{{len(content)}}}\r\n".encode() + content


def _section(raw: bytes, section: str) -> bytes:
    header, blank, content = raw.partition(b"\r\n\r\n")
    header += blank
    if section in ("", "TEXT", "HEADER"):
        return {"": raw, "TEXT": content, "HEADER": header}[section]
    fields = _FIELDS.fullmatch(section)
    assert fields is not None
    wanted, excluded = fields["names"].split(), bool(fields["excluded"])
    kept = [
        whole
        for whole in re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header)
        if (whole.partition(b":")[0].decode("ascii", "replace").strip().upper() in wanted) is not excluded
    ]
    return b"".join(kept) + b"\r\n"
