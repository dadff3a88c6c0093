"""How the catalogues are written: plain data, which the rulebook makes its own."""

from __future__ import annotations

from typing import Any

Catalogue = dict[str, dict[str, Any]]


def said(*words: str, patterns: tuple[str, ...] = (), unless: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"words": words, "patterns": patterns, "unless": unless}
