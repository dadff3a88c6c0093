"""Codes for things that come with a name only: the same name always gives the same code."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 64


def code(name: str) -> str:
    """ "Mei-Mei Johns" → "mei-mei-johns". What ASCII cannot hold (张伟) is told apart by a hash of the name."""
    plain = unicodedata.normalize("NFKD", name)
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    ascii_only = letters.encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9._]+", "-", ascii_only.lower()).strip("-.")
    if slug and len(ascii_only) == len(letters) and len(slug) <= LONGEST:
        return slug
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{slug[: LONGEST - 11]}-{digest}".lstrip("-")


class Codes:
    """The codes of one kind of thing in one import; two names never share one."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, name: str) -> str | None:
        """None when another name has that code already."""
        made = code(name)
        return made if self._names.setdefault(made, name) == name else None
