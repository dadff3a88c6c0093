"""Clocks of one unit of work: started and stopped in its transaction, so that a clock never runs for what did not happen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from closedloop_chassis.clocks import figures
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.ids import new_id, new_ids
from closedloop_chassis.rulebook.rules import ClockSetting

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

START = """
INSERT INTO clock (id, kind, subject, owner_id, unit_id, calendar, level, budget, started_at, warn_at, due_at, next_at, attributes)
VALUES (%(id)s, %(kind)s, %(subject)s, %(owner_id)s, %(unit_id)s, %(calendar)s, 0, %(budget)s, %(now)s, %(warn_at)s, %(due_at)s,
        %(next_at)s, %(attributes)s)
ON CONFLICT (kind, subject) WHERE state IN ('open', 'paused') DO NOTHING
"""

# The same for clocks of several units of work.
START_EACH = """
INSERT INTO clock (id, kind, subject, owner_id, unit_id, calendar, level, budget, started_at, warn_at, due_at, next_at, attributes)
SELECT id, kind, subject, owner_id, unit_id, calendar, 0, budget, now, warn_at, due_at, next_at, attributes
  FROM jsonb_to_recordset(%(started)s)
       AS started (id uuid, kind text, subject text, owner_id text, unit_id text, calendar text, budget interval,
                   now timestamptz, warn_at timestamptz, due_at timestamptz, next_at timestamptz, attributes jsonb)
ON CONFLICT (kind, subject) WHERE state IN ('open', 'paused') DO NOTHING
"""

# Times that subjects share, those of one unit that came equally late, are sent once, however many start with them.
START_MANY = """
INSERT INTO clock (id, kind, subject, owner_id, unit_id, calendar, level, budget, started_at, warn_at, due_at, next_at, attributes)
SELECT id, %(kind)s, subject, owner_id, unit_id, %(calendar)s, 0, budget, %(now)s, warn_at, due_at,
       least(warn_at, due_at), attributes
  FROM jsonb_to_recordset(%(started)s)
       AS started (id uuid, subject text, owner_id text, unit_id text, attributes jsonb, late text)
  JOIN jsonb_to_recordset(%(times)s)
       AS times (unit_id text, late text, budget interval, warn_at timestamptz, due_at timestamptz)
       USING (unit_id, late)
ON CONFLICT (kind, subject) WHERE state IN ('open', 'paused') DO NOTHING
"""

# Breached levels that are answered late keep their verdict and note when. The time to meet counts from the first level.
MEET = """
WITH answered AS (
    UPDATE clock
       SET state = CASE WHEN state = 'breached' THEN state ELSE 'met' END,
           ended_at = coalesce(ended_at, %(now)s), answered_at = %(now)s
     WHERE kind = %(kind)s AND subject = ANY(%(subjects)s)
       AND (state IN ('open', 'paused') OR (state = 'breached' AND answered_at IS NULL))
    RETURNING kind, subject, state, started_at
)
SELECT kind, bool_or(state = 'met') AS met, extract(epoch FROM %(now)s - min(started_at))::float8 AS seconds
  FROM answered GROUP BY kind, subject
"""

CANCEL = """
UPDATE clock SET state = 'cancelled', ended_at = %(now)s
 WHERE kind = %(kind)s AND subject = ANY(%(subjects)s) AND state IN ('open', 'paused')
"""

RUNNING = """
SELECT id, state, calendar, unit_id, due_at, warn_at, started_at, remaining, paused_at
  FROM clock WHERE kind = %(kind)s AND subject = %(subject)s AND state IN ('open', 'paused') FOR UPDATE
"""

PAUSE = "UPDATE clock SET state = 'paused', paused_at = %(now)s, remaining = %(remaining)s WHERE id = %(id)s"

RESUME = """
UPDATE clock
   SET state = 'open', paused_at = NULL, remaining = NULL, due_at = %(due_at)s, warn_at = %(warn_at)s,
       next_at = coalesce(%(warn_at)s::timestamptz, %(due_at)s)
 WHERE id = %(id)s
"""

# The breached level stays as it ended; the next one is a row of its own.
REARM = """
INSERT INTO clock (id, kind, subject, owner_id, unit_id, calendar, level, budget, started_at, warn_at, due_at, next_at, attributes)
SELECT %(next_id)s, kind, subject, %(owner_id)s, unit_id, %(calendar)s, level + 1, %(budget)s, %(now)s, %(warn_at)s,
       %(due_at)s, %(next_at)s, attributes
  FROM clock WHERE id = %(id)s AND state = 'breached'
ON CONFLICT (kind, subject) WHERE state IN ('open', 'paused') DO NOTHING
"""

# A unit's times are sent once, however many of its clocks begin their next level. Each breached one is looked up by its key
# (OFFSET 0), whatever the planner believes of how many are breached: a sweep changes that as it goes.
REARM_MANY = """
INSERT INTO clock (id, kind, subject, owner_id, unit_id, calendar, level, budget, started_at, warn_at, due_at, next_at, attributes)
SELECT breached.next_id, kind, subject, owner_id, unit_id, %(calendar)s, ended.level + 1, times.budget, %(now)s, times.warn_at,
       times.due_at, least(times.warn_at, times.due_at), attributes
  FROM jsonb_to_recordset(%(breached)s) AS breached (id uuid, next_id uuid)
  CROSS JOIN LATERAL (SELECT * FROM clock WHERE id = breached.id OFFSET 0) ended
  JOIN jsonb_to_recordset(%(times)s) AS times (unit_id text, budget interval, warn_at timestamptz, due_at timestamptz)
       USING (unit_id)
 WHERE ended.state = 'breached'
ON CONFLICT (kind, subject) WHERE state IN ('open', 'paused') DO NOTHING
"""

HAND_OVER = """
UPDATE clock SET owner_id = %(owner_id)s, unit_id = %(unit_id)s
 WHERE subject = %(subject)s AND state IN ('open', 'paused')
"""


class Clocks:
    """Start, meet, cancel, pause and resume; one running clock per (kind, subject)."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def start(
        self,
        kind: str,
        subject: str,
        setting: ClockSetting,
        *,
        owner_id: str = "",
        unit_id: str = "",
        attributes: dict[str, Any] | None = None,
    ) -> datetime:
        """Queues the start and answers when it will be due. A clock of this kind already running for the subject goes on."""
        budget, warn_at, due_at = self._times(setting, unit_id)
        self._work.tx.write(
            _starting,
            {
                "id": new_id(),
                "kind": kind,
                "subject": subject,
                "owner_id": owner_id,
                "unit_id": unit_id,
                "calendar": setting.calendar,
                "budget": budget,
                "now": self._work.now,
                "warn_at": warn_at,
                "due_at": due_at,
                "next_at": warn_at or due_at,
                "attributes": Jsonb(attributes or {}),
            },
        )
        return due_at

    def start_many(
        self,
        kind: str,
        setting: ClockSetting,
        subjects: list[tuple[str, str, str, dict[str, Any]]],
        late: Mapping[str, timedelta] | None = None,
    ) -> None:
        """Like `start` for many at once: (subject, owner_id, unit_id, attributes), one statement. `late`: how much of the
        plain clock's time has passed already, by subject."""
        spent = {
            subject: by for subject, by in (late or {}).items() if setting.calendar == "plain" and by > timedelta()
        }

        def remaining(subject: str) -> ClockSetting:
            if subject not in spent:
                return setting
            return setting.shortened(setting.budget(timedelta(days=1)) - spent[subject])

        if len(subjects) == 1:
            # A third of what the statement for many costs PostgreSQL.
            [(subject, owner, unit, attributes)] = subjects
            self.start(kind, subject, remaining(subject), owner_id=owner, unit_id=unit, attributes=attributes)
        if len(subjects) <= 1:
            return
        settings = {subject: remaining(subject) for subject, _, _, _ in subjects} if spent else {}
        shared = {(unit, _key(settings.get(subject))): settings.get(subject) for subject, _, unit, _ in subjects}
        times = {(unit, key): self._times(own or setting, unit) for (unit, key), own in shared.items()}
        self._work.tx.do(
            START_MANY,
            {
                "kind": kind,
                "calendar": setting.calendar,
                "now": self._work.now,
                "started": Jsonb(
                    [
                        {
                            "id": id_,
                            "subject": subject,
                            "owner_id": owner,
                            "unit_id": unit,
                            "attributes": attributes,
                            "late": _key(settings.get(subject)),
                        }
                        for id_, (subject, owner, unit, attributes) in zip(
                            new_ids(len(subjects)), subjects, strict=True
                        )
                    ]
                ),
                "times": Jsonb([{**_plain(unit, *found), "late": key} for (unit, key), found in times.items()]),
            },
        )

    def meet(self, kind: str, *subjects: str) -> None:
        """What the clocks waited for has happened. Without effect where none runs."""
        params = {"kind": kind, "subjects": list(subjects), "now": self._work.now}
        self._work.tx.do(MEET, params, then=figures.answered)

    def cancel(self, kind: str, *subjects: str) -> None:
        """What the clocks waited for is no longer wanted."""
        self._work.tx.do(CANCEL, {"kind": kind, "subjects": list(subjects), "now": self._work.now})

    async def pause(self, kind: str, subject: str) -> None:
        """Stops the time, keeping what is left of it on the clock's own calendar. One round trip."""
        clock = await self._work.tx.one(RUNNING, {"kind": kind, "subject": subject})
        if clock is not None and clock["state"] == "open":
            left = self._work.calendars.between(self._work.now, clock["due_at"], clock["calendar"], clock["unit_id"])
            self._work.tx.do(PAUSE, {"id": clock["id"], "now": self._work.now, "remaining": left})

    async def resume(self, kind: str, subject: str) -> datetime | None:
        """Lets the time run on; answers the new due time, or None where nothing was paused. One round trip."""
        clock = await self._work.tx.one(RUNNING, {"kind": kind, "subject": subject})
        if clock is None or clock["state"] != "paused":
            return None
        calendars, on = self._work.calendars, (clock["calendar"], clock["unit_id"])
        left: timedelta = clock["remaining"]
        due_at, warn_at = calendars.add(self._work.now, left, *on), None
        if clock["warn_at"] is not None and clock["warn_at"] > clock["paused_at"]:
            # It had not warned yet, and still will.
            warn_at = calendars.add(self._work.now, calendars.between(clock["paused_at"], clock["warn_at"], *on), *on)
        self._work.tx.do(RESUME, {"id": clock["id"], "due_at": due_at, "warn_at": warn_at})
        return due_at

    def rearm(self, due: Due, setting: ClockSetting, *, owner_id: str | None = None) -> datetime:
        """The next level of a clock that has just breached: another one, from now, by `setting`; the breached one stays."""
        budget, warn_at, due_at = self._times(setting, due.unit_id)
        self._work.tx.do(
            REARM,
            {
                "id": due.id,
                "next_id": new_id(),
                "now": self._work.now,
                "calendar": setting.calendar,
                "budget": budget,
                "owner_id": due.owner_id if owner_id is None else owner_id,
                "warn_at": warn_at,
                "due_at": due_at,
                "next_at": warn_at or due_at,
            },
        )
        return due_at

    def rearm_many(self, dues: Iterable[Due], setting: ClockSetting) -> None:
        """The next level of many clocks that have just breached, by one statement; owners stay."""
        breached = list(dues)
        if not breached:
            return
        times = [
            _plain(unit_id, *self._times(setting, unit_id)) for unit_id in sorted({one.unit_id for one in breached})
        ]
        self._work.tx.do(
            REARM_MANY,
            {
                "breached": Jsonb(
                    [
                        {"id": one.id, "next_id": next_id}
                        for one, next_id in zip(breached, new_ids(len(breached)), strict=True)
                    ]
                ),
                "times": Jsonb(times),
                "now": self._work.now,
                "calendar": setting.calendar,
            },
        )

    def hand_over(self, subject: str, owner_id: str, unit_id: str) -> None:
        """All running clocks of the subject follow its new owner."""
        self._work.tx.do(HAND_OVER, {"subject": subject, "owner_id": owner_id, "unit_id": unit_id})

    def _times(self, setting: ClockSetting, unit_id: str) -> tuple[timedelta, datetime | None, datetime]:
        calendars, now = self._work.calendars, self._work.now
        budget = calendars.budget(setting, unit_id)
        due_at = calendars.add(now, budget, setting.calendar, unit_id)
        if setting.warn_at is None:
            return budget, None, due_at
        return budget, calendars.add(now, budget * setting.warn_at, setting.calendar, unit_id), due_at


def _starting(clocks: Sequence[dict[str, Any]]) -> Iterator[Statement]:
    if len(clocks) == 1:
        yield START, clocks[0]
    else:
        yield START_EACH, {"started": Jsonb(clocks)}


def _key(setting: ClockSetting | None) -> str:
    """What those whose time is shortened alike have in common; empty for the whole time."""
    return str(setting.budget(timedelta(days=1))) if setting is not None else ""


def _plain(unit_id: str, budget: timedelta, warn_at: datetime | None, due_at: datetime) -> dict[str, Any]:
    """Times as JSON carries them to PostgreSQL."""
    warns = warn_at.isoformat() if warn_at else None
    seconds = f"{budget.days * 86400 + budget.seconds}.{budget.microseconds:06} seconds"
    return {"unit_id": unit_id, "budget": seconds, "warn_at": warns, "due_at": due_at.isoformat()}
