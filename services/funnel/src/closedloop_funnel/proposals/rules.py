"""What is kept of a proposal's clauses (S59, S60)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Clause = dict[str, Any]


def merged(clauses: Iterable[Clause], raised: Iterable[Clause]) -> list[Clause]:
    """The clauses with what the customer raised; a key that was not in the proposal is added to it."""
    kept = {clause["key"]: clause for clause in clauses}
    for clause in raised:
        before = kept.get(clause["key"], {"key": clause["key"], "text": clause["text"]})
        kept[clause["key"]] = {**before, "raised": True, "concern": clause["concern"]}
    return list(kept.values())


def unique(clauses: Iterable[Clause]) -> str:
    """A key that stands twice; empty where none does."""
    seen: set[str] = set()
    for clause in clauses:
        if clause["key"] in seen:
            return str(clause["key"])
        seen.add(clause["key"])
    return ""
