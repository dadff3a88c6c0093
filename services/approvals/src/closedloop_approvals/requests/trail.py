"""The trail of a request: a hash chain over canonical text, so that nobody can change what was said unseen.

Each entry's hash is SHA-256 over the hash before it and its own text. The last hash stands in the request, and leaves
the house with the decision: whoever rewrote a whole chain would still disagree with what the origin was told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

FIRST = "0" * 64
# Made once: `json.dumps` makes one at every call.
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))

# What the request's state must be after the last of these actions; approvals count signatures and end in two ways.
STATES = {
    "opened": {"pending", "approved"},
    "imported": {"approved", "rejected", "recalled", "withdrawn"},
    "resubmitted": {"pending", "approved"},
    # Also a signer's place, while it is back with its submitter.
    "rerouted": {"pending", "approved", "returned"},
    "approved": {"pending", "approved"},
    "rejected": {"pending", "rejected"},
    "returned": {"pending", "returned"},
    "recalled": {"recalled"},
    "withdrawn": {"withdrawn"},
    "decided_by_silence": {"pending", "approved", "rejected"},
}


@dataclass(frozen=True)
class Entry:
    """What happened, before it is sealed; `content_hash` pins subject and facts as they were submitted, `terms_hash` what
    else came with them, `state_hash` where the request stands after it (the last entry of each act has one).

    `took_seconds` of working time from question to answer, and whether it came in time, stand on answers alone.
    """

    action: str
    actor_id: str
    on_behalf_of: str = ""
    step: int = 0
    comment: str = ""
    person_ids: tuple[str, ...] = ()
    attachments: tuple[dict[str, Any], ...] = ()
    evidence: tuple[dict[str, Any], ...] = ()
    rule: dict[str, Any] | None = None
    content_hash: str = ""
    terms_hash: str = ""
    state_hash: str = ""
    took_seconds: float | None = None
    in_time: bool | None = None
    conditions: str = ""

    @property
    def signer(self) -> str:
        """Whose signature it is: the Y of "X for Y", else the one who acted."""
        return self.on_behalf_of or self.actor_id

    @property
    def figures(self) -> dict[str, Any]:
        return {} if self.took_seconds is None else {"took_seconds": self.took_seconds, "in_time": self.in_time}

    @property
    def more(self) -> dict[str, str]:
        """What only some entries say."""
        said = {"conditions": self.conditions, "terms_hash": self.terms_hash, "state_hash": self.state_hash}
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Sealed:
    """A link of the chain as it is kept."""

    request_id: str
    sequence: int
    content: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a chain does not hold."""

    request_id: str
    sequence: int
    kind: str
    expected_hash: str = ""
    found_hash: str = ""


def link(previous_hash: str, content: str) -> str:
    return hashlib.sha256(f"{previous_hash}\n{content}".encode()).hexdigest()


def seal(
    request_id: str, length: int, last_hash: str, now: datetime, subject_version: int, entries: Sequence[Entry]
) -> list[Sealed]:
    """The entries as the next links of a chain of `length` that ends with `last_hash`."""
    sealed: list[Sealed] = []
    for sequence, entry in enumerate(entries, length + 1):
        content = _text(
            {
                "request_id": request_id,
                "sequence": sequence,
                "time": now.astimezone(UTC).isoformat(timespec="microseconds"),
                "subject_version": subject_version,
                "action": entry.action,
                "actor_id": entry.actor_id,
                "on_behalf_of": entry.on_behalf_of,
                "step": entry.step,
                "comment": entry.comment,
                "person_ids": entry.person_ids,
                "attachments": entry.attachments,
                "evidence": entry.evidence,
                "rule": entry.rule,
                "content_hash": entry.content_hash,
                **entry.figures,
                **entry.more,
            }
        )
        sealed.append(Sealed(request_id, sequence, content, last_hash, link(last_hash, content)))
        last_hash = sealed[-1].hash
    return sealed


def _text(value: dict[str, Any]) -> str:
    """Of a link, whose text is kept as it was hashed: as `canonical` writes it, at a fifth of its price."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return canonical(value)


def canonical(value: Any) -> str:
    """One text for equal values, whatever JSON store they passed through."""
    return _CANONICAL.encode(_plain(value))


def content_hash(subject: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over subject and facts as submitted."""
    return hashlib.sha256(canonical({"subject": subject, "facts": facts}).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Now:
    """What the request says of itself: its state, and the hashes of its content, its terms and all that is signed."""

    state: str
    content: str
    terms: str
    signed: str


def verify(
    request_id: str, links: Sequence[Sealed], length: int, last_hash: str, now: Now, audited: Sequence[str] = ()
) -> list[Break]:
    """Every place where the chain, or the request it belongs to, was touched behind our back.

    `length` and `last_hash` are what the request says of its trail, `audited` hashes that it has ended with.
    """
    breaks: list[Break] = []
    previous, expected = FIRST, 1
    for place, found in enumerate(links):
        if found.sequence > expected:
            breaks += [Break(request_id, gone, "missing") for gone in range(expected, found.sequence)]
        elif found.previous_hash != previous:
            breaks.append(Break(request_id, found.sequence, "changed", found.previous_hash, previous))
        if found.sequence > length or not _is_at(found):
            breaks.append(Break(request_id, found.sequence, "inserted", "", found.hash))
        elif (computed := link(found.previous_hash, found.content)) != found.hash:
            breaks.append(Break(request_id, found.sequence, "changed", found.hash, computed))
        elif place == len(links) - 1 and found.sequence == length and found.hash != last_hash:
            breaks.append(Break(request_id, found.sequence, "changed", last_hash, found.hash))
        previous, expected = found.hash, found.sequence + 1
    if expected <= length:
        breaks.append(Break(request_id, expected, "truncated", last_hash, previous if links else ""))
    there = {found.hash for found in links}
    if not breaks and (lost := [told for told in audited if told not in there]):
        breaks.append(Break(request_id, length, "missing", lost[-1], last_hash))
    if not breaks and (differs := _state_differs(links, now)):
        breaks.append(Break(request_id, differs[0], "state_differs", *differs[1:]))
    return breaks


def _is_at(link_: Sealed) -> bool:
    try:
        said = json.loads(link_.content)
    except ValueError:
        return True  # not our text at all: the hash will tell
    return (
        isinstance(said, dict) and said.get("sequence") == link_.sequence and said.get("request_id") == link_.request_id
    )


def _state_differs(links: Sequence[Sealed], now: Now) -> tuple[int, str, str] | None:
    """The entry that the request contradicts, the hash it names and the one found; None: there is none.

    Entries of before there were such hashes name none.
    """
    said = [json.loads(link_.content) for link_ in links]
    brought = next((entry for entry in reversed(said) if entry["content_hash"]), None)
    if brought is not None and brought["content_hash"] != now.content:
        return int(brought["sequence"]), brought["content_hash"], now.content
    moved = next((entry for entry in reversed(said) if entry["action"] in STATES), None)
    if moved is not None and now.state not in STATES[moved["action"]]:
        return int(moved["sequence"]), "", now.content
    if brought is not None and brought.get("terms_hash", now.terms) != now.terms:
        return int(brought["sequence"]), brought["terms_hash"], now.terms
    if said and said[-1].get("state_hash", now.signed) != now.signed:
        return int(said[-1]["sequence"]), said[-1]["state_hash"], now.signed
    return None


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if isinstance(value, (int, float)):
        # 1 and 1.0, and 1e300 and its digits, are one number in jsonb.
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
