"""The state of a connection to a server we stand on: said when it changes, and shown in a gauge."""

from __future__ import annotations

from typing import Any

import structlog

from closedloop_chassis.telemetry import courier_metrics


class Link:
    """`down` answers how many seconds to wait before the next attempt: 0.1, doubling up to 2."""

    FIRST, LONGEST = 0.1, 2.0

    def __init__(self, name: str) -> None:
        self._log: Any = structlog.get_logger("courier").bind(link=name)
        self._gauge = courier_metrics.LINK_UP.labels(name)
        self._gauge.set(0)
        self._pause = 0.0
        self._reason = ""

    def up(self) -> None:
        if self._reason:
            self._log.info("link is back")
        self._reason = ""
        self._pause = 0.0
        self._gauge.set(1)

    def down(self, cause: BaseException) -> float:
        reason = f"{type(cause).__name__}: {cause}".strip()
        if reason != self._reason:
            self._log.warning("link is away, trying again", cause=reason)
        self._reason = reason
        self._log.debug("attempt failed", exc_info=cause)
        self._pause = min(max(self._pause * 2, self.FIRST), self.LONGEST)
        self._gauge.set(0)
        return self._pause
