"""Files that records refer to. None has ever been stored in this release, so that every reference is unknown."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop_chassis import errors


def check(ids: Sequence[str], field: str) -> None:
    """Raises InvalidArgument ATTACHMENT_UNKNOWN."""
    if ids:
        raise errors.InvalidArgument("ATTACHMENT_UNKNOWN", f"no attachment {ids[0]}", {field: "unknown"})
