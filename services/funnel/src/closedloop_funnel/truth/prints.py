"""Prints of texts: two that read nearly the same share one, so that they find each other among millions.

MinHash (Broder 1997) over shingles, in bands: texts with 80 % of their shingles in common share a band in 99 of 100
cases, those with 30 % in 15. What is found by it is compared for itself afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from zlib import crc32

from closedloop_funnel.truth.rules import bare

SHINGLE = 4
BANDS, ROWS = 6, 3
# x -> (a x + b) mod p for every row; p is the Mersenne prime 2^61 - 1, multipliers by the golden ratio and pi.
PRIME = (1 << 61) - 1
FAMILY = [
    (0x9E3779B97F4A7C15 * (2 * row + 1) % PRIME, 0x243F6A8885A308D3 * (row + 1) % PRIME) for row in range(BANDS * ROWS)
]


def prints(text: str) -> list[int]:
    """One 63-bit number a band; none of a text shorter than a shingle."""
    said = bare(text)
    shingles = {crc32(said[at : at + SHINGLE].encode()) for at in range(len(said) - SHINGLE + 1)}
    if not shingles:
        return []
    least = [min((a * one + b) % PRIME for one in shingles) for a, b in FAMILY]
    return [_of_band(band, least[band * ROWS : (band + 1) * ROWS]) for band in range(BANDS)]


def _of_band(band: int, least: Sequence[int]) -> int:
    said = blake2b(repr((band, *least)).encode(), digest_size=8).digest()
    return int.from_bytes(said, "big") >> 1
