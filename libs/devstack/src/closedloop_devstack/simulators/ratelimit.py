"""A sliding window: at most `limit` hits of a key within `seconds`."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._hits: dict[str, deque[float]] = {}

    def wait(self, key: str, now: float) -> float:
        """Counts a hit and returns 0, or returns the seconds to wait and counts nothing. A limit of 0 is no limit."""
        if not self.limit:
            return 0.0
        hits = self._hits.setdefault(key, deque())
        while hits and hits[0] <= now - self.seconds:
            hits.popleft()
        if len(hits) >= self.limit:
            return hits[0] + self.seconds - now
        hits.append(now)
        return 0.0
