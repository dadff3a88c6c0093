"""How those fare who post to us: feeds, callbacks, the gateway of mails. Runs in the courier.

Nobody polls them, so what is known of their health is what they sent: when last, how much, and what was refused and why. What is
refused is counted here and written down at most once a second: anybody may post nonsense, and nobody shall make us write for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_integrations.feeds import FEEDS
from closedloop_integrations.polling import in_force
from closedloop_integrations.settings import Outside, outside
from closedloop_integrations.sources.rules import SourceRules

MAIL, WECOM, DINGTALK = "mail_webhook", "wecom_callbacks", "dingtalk_callbacks"
QUIET_SECONDS = 1.0

Handler = Callable[[Desk, Request], Response]

PAUSED = "SELECT paused FROM source WHERE name = %(source)s"
HEARD = """
WITH counted AS (
    INSERT INTO posted_hour AS kept (source, hour, received, refused)
    VALUES (%(source)s, date_trunc('hour', %(now)s::timestamptz), %(received)s, %(refused)s)
    ON CONFLICT (source, hour) DO UPDATE
       SET received = kept.received + excluded.received, refused = kept.refused + excluded.refused
)
UPDATE source
   SET failures = CASE WHEN %(received)s > 0 THEN 0 ELSE failures + %(refused)s END,
       last_success_at = CASE WHEN %(received)s > 0 THEN %(now)s ELSE last_success_at END,
       newest_at = CASE WHEN %(received)s > 0 THEN %(now)s ELSE newest_at END,
       last_failure_at = CASE WHEN %(refused)s > 0 THEN %(now)s ELSE last_failure_at END,
       last_error = CASE WHEN %(refused)s > 0 THEN %(error)s ELSE last_error END,
       durations = CASE WHEN %(received)s > 0 THEN (%(seconds)s::real || durations)[1:200] ELSE durations END
 WHERE name = %(source)s
"""
MEET = """
UPDATE source s SET configured = w.configured, secret_at = CASE WHEN w.configured THEN %(read_at)s::timestamptz END
  FROM unnest(%(names)s::text[], %(configured)s::boolean[]) AS w (name, configured)
 WHERE s.name = w.name
   AND (s.configured, s.secret_at) IS DISTINCT FROM (w.configured, CASE WHEN w.configured THEN %(read_at)s::timestamptz END)
"""
FORGET = "DELETE FROM posted_hour WHERE hour < %(before)s"


@dataclass
class Refused:
    """Calls of one source that are not written down yet."""

    count: int = 0
    error: str = ""
    written: float = 0.0


_refused: dict[str, Refused] = {}
_counting = threading.Lock()


def watched(source: str, handler: Handler) -> Handler:
    """The handler, whose calls are the health of `source`. Raises what it raises, and Unavailable SOURCE_PAUSED."""

    def heard(desk: Desk, request: Request) -> Response:
        begun = time.monotonic()
        with desk.connection() as connection:
            row = connection.execute(PAUSED, {"source": source}).fetchone()
            if row is not None and row[0]:
                patience = in_force(connection, SourceRules, desk.now()).poll(source).patience_seconds
                raise errors.Unavailable("SOURCE_PAUSED", f"{source} is paused", retry_after=patience)
        try:
            response = handler(desk, request)
        except errors.NotFound:
            # Of an address that is none of ours nothing is known.
            raise
        except errors.DomainError as error:
            _count(desk, source, f"{error.reason}: {error.message} ({request.path})"[:300])
            raise
        _write(desk, source, received=1, seconds=time.monotonic() - begun)
        return response

    return heard


def look(desk: Desk) -> None:
    """Which of them are configured, what is counted and not written, and what is old."""
    for source in list(_refused):
        _count(desk, source)
    read_at, wanted = outside().read_at, configured(outside())
    with desk.connection() as connection:
        connection.execute(MEET, {"names": list(wanted), "configured": list(wanted.values()), "read_at": read_at})
        kept = in_force(connection, SourceRules, desk.now()).runs.days
        connection.execute(FORGET, {"before": desk.now() - timedelta(days=kept)})


def configured(where: Outside) -> dict[str, bool]:
    secret = bool(where.webhook_secret.get_secret_value())
    talk = {WECOM: bool(where.callbacks.get("wecom")), DINGTALK: bool(where.callbacks.get("dingtalk"))}
    return {MAIL: secret, **dict.fromkeys(FEEDS, secret), **talk}


def _count(desk: Desk, source: str, error: str = "") -> None:
    """One more that was refused; without `error` only what waits is written."""
    with _counting:
        waiting = _refused.setdefault(source, Refused())
        if error:
            waiting.count, waiting.error = waiting.count + 1, error
        if not waiting.count or time.monotonic() - waiting.written < QUIET_SECONDS:
            return
        count, waiting.count, waiting.written = waiting.count, 0, time.monotonic()
    _write(desk, source, refused=count, error=waiting.error)


def _write(
    desk: Desk, source: str, *, received: int = 0, refused: int = 0, error: str = "", seconds: float = 0.0
) -> None:
    told: dict[str, Any] = {"source": source, "now": desk.now(), "received": received, "refused": refused}
    with desk.connection() as connection:
        connection.execute(HEARD, {**told, "error": error, "seconds": seconds})
