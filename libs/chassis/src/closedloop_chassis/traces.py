"""Recognises a person who is to be forgotten by what was told of them: ids, and digests of addresses and names.

Digests recognise who has the text in hand and tell nobody else whom they are of (PIPL).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# A name of one character is in too many words.
LEAST_NAME = 2
_NOT_DIGITS = re.compile(r"[^0-9+]")
# What may be a mail address or a phone number, within other words.
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+|\+?\d(?:[ ()-]?\d){4,16}", re.ASCII)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def name_digests(names: Iterable[str]) -> dict[bytes, int]:
    """Digest -> length of each name that can be told from a word."""
    folded = {_folded(name.strip()) for name in names}
    return {digest(name): len(name) for name in folded if len(name) >= LEAST_NAME}


@dataclass(frozen=True, slots=True)
class Traces:
    """`addresses`: digests of phones (E.164) and mail addresses; `names`: digest -> how many characters."""

    ids: frozenset[str] = frozenset()
    addresses: frozenset[bytes] = frozenset()
    names: Mapping[bytes, int] = field(default_factory=dict)
    # Of numbers written without a country.
    country_prefix: str = "+86"

    def in_text(self, text: str) -> bool:
        if any(id_ in text for id_ in self.ids) or self.named_in(text):
            return True
        return bool(self.addresses) and any(
            map(self._is_address, _ADDRESS.findall(unicodedata.normalize("NFKC", text)))
        )

    def named_in(self, text: str) -> list[tuple[int, int]]:
        """Where the text names the person: (begin, end) of each mention, from the left."""
        said, found = _folded(text), list[tuple[int, int]]()
        for length in sorted(set(self.names.values()), reverse=True):
            grams = {said[at : at + length] for at in range(len(said) - length + 1)}
            for name in (gram for gram in grams if digest(gram) in self.names):
                found += [(at.start(), at.end()) for at in re.finditer(re.escape(name), said)]
        return sorted(found)

    def without_name(self, text: str, instead: str) -> str:
        """The text with each mention replaced."""
        parts, end = list[str](), 0
        for begins, ends in self.named_in(text):
            if begins >= end:
                parts += [text[end:begins], instead]
                end = ends
        return "".join([*parts, text[end:]])

    def _is_address(self, text: str) -> bool:
        digits = "" if "@" in text else _NOT_DIGITS.sub("", text)
        spellings = (digits, self.country_prefix + digits.removeprefix("0")) if digits else (text.lower(),)
        return any(digest(spelling) in self.addresses for spelling in spellings)


def _folded(text: str) -> str:
    """Without case, every character in its place."""
    folded = text.casefold()
    return folded if len(folded) == len(text) else text
