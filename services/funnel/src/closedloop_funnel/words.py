"""Enums of the contract as the lower-case words that Python and SQL keep: OPPORTUNITY_STATE_WON is "won"."""

from __future__ import annotations

from functools import cache
from typing import Any

# A generated enum; its stubs know it as a class, the runtime as a wrapper.
Enum = Any


def word(enum: Enum, number: int) -> str:
    """Empty for UNSPECIFIED."""
    return _by_number(enum)[number]


def number(enum: Enum, name: str) -> Any:
    """UNSPECIFIED for an empty word. Raises KeyError for a word the enum does not have."""
    return _by_word(enum)[name]


@cache
def _by_number(enum: Enum) -> dict[int, str]:
    prefix = enum.Name(0).removesuffix("UNSPECIFIED")
    return {value: name.removeprefix(prefix).lower() if value else "" for name, value in enum.items()}


@cache
def _by_word(enum: Enum) -> dict[str, int]:
    return {name: value for value, name in _by_number(enum).items()}
