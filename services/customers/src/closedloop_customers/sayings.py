"""Texts of rulebooks that name things in braces: checked when they are published, filled in when they are said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from string import Formatter


def checked(text: str, words: Collection[str]) -> str:
    """The text, if all it names in braces is one of `words`. Raises ValueError, for unbalanced braces too."""
    for _, name, spec, conversion in Formatter().parse(text):
        if name is not None and (name not in words or spec or conversion):
            raise ValueError(f"a text may name {', '.join(sorted(words))} in braces, not {{{name}}}")
    return text


def said(text: str, words: Mapping[str, str], known: Collection[str]) -> str:
    """The text with its names filled in; what is not known is left out."""
    return text.format_map({name: words.get(name, "") for name in known})
