"""Where a seller stands among peers: the colour of a cell of the heat map (S76)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping


def places(amounts: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], float]:
    """By (person, column): the share of the others in that column who brought less; who is alone stands highest."""
    columns: dict[str, list[int]] = defaultdict(list)
    for (_, column), amount in amounts.items():
        columns[column].append(amount)
    for peers in columns.values():
        peers.sort()
    return {
        (person, column): bisect_left(columns[column], amount) / (len(columns[column]) - 1)
        if columns[column][1:]
        else 1.0
        for (person, column), amount in amounts.items()
    }
