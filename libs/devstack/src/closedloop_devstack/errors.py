"""What can go wrong on one machine, in words for the person in front of it."""

from __future__ import annotations


class PlatformError(Exception):
    """One sentence that says what is wrong and what to do about it."""
