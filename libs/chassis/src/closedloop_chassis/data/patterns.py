"""What people type into a search, as LIKE and ILIKE take it: a percent sign is a percent sign."""

from __future__ import annotations


def literal(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def containing(text: str) -> str:
    """Whatever has the text in it; empty for an empty one, which the SQL takes for "everything"."""
    return f"%{literal(text)}%" if text else ""


def beginning(text: str) -> str:
    return f"{literal(text)}%"
