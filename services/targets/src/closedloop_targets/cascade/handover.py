"""A target cut at a day: what lies before stays, the rest goes on under another holder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from closedloop_targets.cascade.apportion import apportion


@dataclass(frozen=True, slots=True)
class Piece:
    """One node of the part that is cut; amounts in minor units or millionths, `parent_id` inside the part or outside."""

    id: str
    parent_id: str | None
    depth: int
    base: int
    minor: int


@dataclass(frozen=True, slots=True)
class Halves:
    """Base and whole amount before the day, and from the day on."""

    base_before: int
    base_after: int
    minor_before: int
    minor_after: int


def alike(pieces: Sequence[Piece]) -> dict[str, Halves]:
    """Of what does not add up both halves are asked for the same."""
    return {piece.id: Halves(piece.base, piece.base, piece.minor, piece.minor) for piece in pieces}


def halves(pieces: Sequence[Piece], days_before: int, days_after: int, step: int) -> dict[str, Halves]:
    """Every node by its working days either side; a node whose children sum to it still sums to theirs, in both halves.

    Leaves are cut by largest remainder; who has children gets what they come to, and its own difference by its days.
    """
    days = [days_before, days_after] if days_before + days_after else [1, 1]
    below: dict[str, list[Piece]] = {}
    for piece in pieces:
        if piece.parent_id is not None:
            below.setdefault(piece.parent_id, []).append(piece)
    found: dict[str, Halves] = {}
    for piece in sorted(pieces, key=lambda one: (-one.depth, one.id)):
        children = below.get(piece.id, ())
        own = piece.base - sum(child.base for child in children)
        rest_before, rest_after = _cut(own, days, step)
        before = sum(found[child.id].base_before for child in children) + rest_before
        after = sum(found[child.id].base_after for child in children) + rest_after
        padding_before, padding_after = _cut(piece.minor - piece.base, days, step)
        found[piece.id] = Halves(before, after, before + padding_before, after + padding_after)
    return found


def _cut(amount: int, days: Sequence[int], step: int) -> tuple[int, int]:
    sign = -1 if amount < 0 else 1
    before, after = apportion(abs(amount), days, step)
    return sign * before, sign * after
