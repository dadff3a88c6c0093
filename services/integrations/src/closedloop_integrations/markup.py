"""HTML of other people as a tree, unless it is nested so deeply that reading it would take the process for itself.

The parser keeps its time on anything flat; on elements within elements it takes time by the square of their depth:
0.4 s for 20,000, half a minute for the 200,000 that fit into one mail.
"""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser

# Pages that forget to close their cells and paragraphs count as nested; two thousand is beyond any of them.
DEEPEST = 2000
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_NEVER_CLOSED = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr", "area", "base", "col", "embed", "source"})
_MARKUP = re.compile(r"<[^<>]*>?")


class TooDeep(ValueError):
    """Nobody reads this."""


def tree(html: str) -> LexborHTMLParser:
    """Raises TooDeep."""
    depth = 0
    for tag in _TAG.finditer(html):
        if tag[1]:
            depth = max(depth - 1, 0)
        elif tag[2].lower() not in _NEVER_CLOSED:
            depth += 1
            if depth > DEEPEST:
                raise TooDeep(f"more than {DEEPEST} elements within one another")
    return LexborHTMLParser(html)


def without_tags(html: str) -> str:
    """The text between the tags, in one line: for what no tree is made of."""
    return " ".join(_MARKUP.sub(" ", html).split())
