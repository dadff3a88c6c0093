"""Which files are taken, and when two pictures are one (S50)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules

IMAGE = "image/"
PDF, ZIP, TEXT = "application/pdf", "application/zip", "text/plain"
# What is a zip inside and says so only by its name.
OFFICE = "application/vnd.openxmlformats-officedocument."


class AttachmentRules(Rules):
    """`content_types` that are taken; sizes in bytes and pixels; `similar_bits`: pictures whose perceptual hashes
    differ in so many of 64 bits or fewer are taken for one."""

    rulebook: ClassVar[str] = "funnel.attachments"

    content_types: tuple[str, ...] = (
        "image/jpeg",
        "image/png",
        "image/webp",
        PDF,
        TEXT,
        f"{OFFICE}wordprocessingml.document",
        f"{OFFICE}spreadsheetml.sheet",
        f"{OFFICE}presentationml.presentation",
    )
    largest_bytes: int = Field(default=10_000_000, ge=1, le=10_000_000)
    largest_pixels: int = Field(default=60_000_000, ge=1, le=200_000_000)
    similar_bits: int = Field(default=3, ge=0, le=3)


def settle(rules: AttachmentRules, claimed: str, found: str, size: int) -> str:
    """The content type it is kept under. Raises InvalidArgument CONTENT_TOO_LARGE, CONTENT_TYPE_MISMATCH,
    CONTENT_TYPE_REFUSED."""
    if size > rules.largest_bytes:
        raise errors.InvalidArgument(
            "CONTENT_TOO_LARGE", f"{size} bytes, at most {rules.largest_bytes}", {"content": "too large"}
        )
    kept = claimed if found == ZIP and claimed.startswith(OFFICE) else found
    if kept != claimed:
        raise errors.InvalidArgument(
            "CONTENT_TYPE_MISMATCH",
            f"it says {claimed} and is {found or 'nothing we know'}",
            {"content_type": "not what it says"},
        )
    if kept not in rules.content_types:
        raise errors.InvalidArgument("CONTENT_TYPE_REFUSED", f"{kept} is not taken", {"content_type": "not taken"})
    return kept
