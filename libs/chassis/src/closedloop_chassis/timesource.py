"""The present. In production it is the machine's; in development mode it can be moved forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class TimeSource:
    """Aware UTC instants. `offset` is how far a development clock was moved; zero in production."""

    def __init__(self) -> None:
        self.offset = timedelta(0)
        self._stopped: datetime | None = None

    def now(self) -> datetime:
        return self._stopped or datetime.now(UTC) + self.offset

    def stop_at(self, moment: datetime) -> None:
        """Time stands still there, for tests; the next call moves it."""
        self._stopped = moment.astimezone(UTC)
