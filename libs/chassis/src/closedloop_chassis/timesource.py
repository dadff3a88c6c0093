"""The present. In production it is the machine's; in development mode it can be moved forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class TimeSource:
    """Aware UTC instants. `offset` is how far a development clock was moved; zero in production."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset
