"""Optimistic locking: a version counter shown to callers as an opaque etag."""

from __future__ import annotations

from closedloop_chassis import errors


def of(version: int) -> str:
    return f'"{version}"'


def check(etag: str, version: int) -> None:
    """Raises ABORTED unless `etag` is empty or names this version."""
    if etag and etag != of(version):
        raise errors.Aborted(
            "ETAG_MISMATCH", "somebody changed this record meanwhile; read it again and repeat", etag=of(version)
        )
