"""Lists in pages: keyset paging behind an opaque token, so that a page costs the same however deep it lies."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from closedloop_chassis import errors

DEFAULT_SIZE = 50
LARGEST = 1000

Item = TypeVar("Item")


class PagedRequest(Protocol):
    page_size: int
    page_token: str


def size(request: PagedRequest) -> int:
    return min(request.page_size or DEFAULT_SIZE, LARGEST)


def after(request: PagedRequest, *first: Any) -> list[Any]:
    """The key after which the page begins; `first` (values that sort before every row) on the first page.

    Raises InvalidArgument for a token this list has not given out.
    """
    if not request.page_token:
        return list(first)
    try:
        key = json.loads(base64.urlsafe_b64decode(request.page_token))
        # JSON can escape half a character (a lone surrogate), which no database takes.
        json.dumps(key, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, list) or [type(part) for part in key] != [type(part) for part in first]:
        raise errors.InvalidArgument("PAGE_TOKEN_INVALID", "not a token of this list", {"page_token": "unknown token"})
    return key


def split(
    rows: Sequence[Item], request: PagedRequest, key: Callable[[Item], Sequence[Any]]
) -> tuple[Sequence[Item], str]:
    """For rows read with LIMIT size + 1: the page and the token of the next one (empty: it was the last)."""
    limit = size(request)
    if len(rows) <= limit:
        return rows, ""
    page = rows[:limit]
    return page, token(*key(page[-1]))


def token(*key: Any) -> str:
    """Of the page that begins after the key."""
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode()
