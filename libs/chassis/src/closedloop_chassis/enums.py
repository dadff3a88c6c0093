"""Enum values of the contract as the words SQL and rules use: DELIVERY_STATE_SENT is "sent"."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any


@cache
def _words(enum: Any) -> tuple[dict[int, str], dict[str, int]]:
    values = enum.DESCRIPTOR.values_by_number
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    words = {number: value.name.removeprefix(prefix).lower() for number, value in values.items() if number}
    return {0: "", **words}, {"": 0, **{word: number for number, word in words.items()}}


def word(enum: Any, number: int) -> str:
    """Empty for UNSPECIFIED."""
    return _words(enum)[0][number]


def number(enum: Any, word: str) -> Any:
    """The value of `enum` that `word` names; 0 for an empty one."""
    return _words(enum)[1][word]


def words(enum: Any, numbers: Iterable[int]) -> list[str]:
    return [word(enum, number) for number in numbers]
