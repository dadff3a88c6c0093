"""A software house's funnel as raw events: how its signings fell while leads grew, and how it recovered (S44).

Every number of the case is a parameter here and comes back out of the events. Working days are counted by the holiday
table alone, not by our calendars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import chinese_calendar

from closedloop_chassis.ids import new_id
from closedloop_funnel.activities.record import Activity
from closedloop_funnel.opportunities.record import Move, Opportunity

HOME = ZoneInfo("Asia/Shanghai")
# From, to, direction, when, working days in the stage it left.
Step = tuple[str, str, str, datetime, float | None]

STAGES = ("contact", "demo", "post_demo", "signing")


def moment(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), HOME)


def workday(day: date, number: int) -> date:
    """The so many-th working day from `day` on, or before it when negative; the first is 1 and -1."""
    step = timedelta(days=1 if number > 0 else -1)
    left = abs(number)
    while True:
        left -= chinese_calendar.is_workday(day)
        if not left:
            return day
        day += step


@dataclass
class History:
    deals: list[Opportunity] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)

    def deal(self, begins: date, days: list[int], end: str, talk: str | None = None) -> None:
        """One deal that stays whole working days in stage after stage, and then is "won", "lost" or stays ("open")."""
        deal_id, at = new_id(), workday(begins, 1)
        way: list[Step] = [("", STAGES[0], "opened", moment(at, 9), None)]
        for position, stay in enumerate(days):
            last = position == len(days) - 1
            if last and end == "open":
                break
            left = workday(at, stay)
            to, direction = (end, end) if last else (STAGES[position + 1], "forward")
            way.append((STAGES[position], to, direction, moment(left, 18), float(stay)))
            at = workday(left + timedelta(days=1), 1)
        self._keep(deal_id, way, end)
        if talk is not None:
            self._talk(deal_id, way[-1][3] + timedelta(hours=1), talk)

    def parked(self, ends: date, days: int, stage: str, talk: str | None) -> None:
        """One deal that has stood so many working days in the stage when `ends` begins."""
        entered = workday(ends - timedelta(days=1), -days)
        deal_id, at = new_id(), moment(entered, 9)
        way = self._up_to(stage, at)
        self._keep(deal_id, way, "open")
        if talk is not None:
            self._talk(deal_id, at + timedelta(hours=1), talk)

    def cleared(self, stage: str, day: date) -> History:
        """The deals parked in the stage, talked through with their customers and closed on that day."""
        after, at = History(), moment(day, 18)
        for deal in self.deals:
            if deal.state == "open" and deal.stage_key == stage:
                days = sum(
                    chinese_calendar.is_workday(deal.stage_entered_at.date() + timedelta(days=number))
                    for number in range((day - deal.stage_entered_at.date()).days + 1)
                )
                after.deals.append(
                    replace(
                        deal,
                        state="lost",
                        stage_key="lost",
                        closed_from=stage,
                        closed_at=at,
                        close_date=day,
                        stage_entered_at=at,
                        move_count=deal.move_count + 1,
                        version=2,
                    )
                )
                after.moves.append(
                    Move(
                        opportunity_id=deal.id,
                        sequence=deal.move_count + 1,
                        from_stage_key=stage,
                        to_stage_key="lost",
                        at=at,
                        author_id="rep1",
                        direction="lost",
                        dwell_days=float(days),
                        pipeline_id="saas",
                        pipeline_version=1,
                    )
                )
        return after

    @staticmethod
    def _up_to(stage: str, at: datetime) -> list[Step]:
        """All stages up to this one, ten minutes apart before the working day, the last one entered at `at`."""
        steps = STAGES[: STAGES.index(stage) + 1]
        first = at - timedelta(minutes=10 * (len(steps) - 1))
        opened: list[Step] = [("", steps[0], "opened", first, None)]
        return opened + [
            (before, after, "forward", first + timedelta(minutes=10 * number), 0.0)
            for number, (before, after) in enumerate(pairwise(steps), 1)
        ]

    def _keep(self, deal_id: str, way: list[Step], end: str) -> None:
        *_, (came, stands, _, at, _) = way
        self.deals.append(
            Opportunity(
                id=deal_id,
                name=f"软件订阅 {len(self.deals)}",
                owner_id=f"seller{len(self.deals) % 4}",
                unit_id="team1",
                source="history",
                pipeline_id="saas",
                pipeline_version=1,
                stage_key=stands,
                state=end,
                closed_from=came if end != "open" else "",
                probability=0.5,
                category="pipeline",
                customer_type="enterprise",
                close_date=at.date() if end != "open" else None,
                move_count=len(way),
                stage_entered_at=at,
                created_at=way[0][3],
                updated_at=at,
                closed_at=at if end != "open" else None,
            )
        )
        self.moves += [
            Move(
                opportunity_id=deal_id,
                sequence=number,
                from_stage_key=before,
                to_stage_key=after,
                at=when,
                author_id="rep1",
                direction=direction,
                dwell_days=days,
                pipeline_id="saas",
                pipeline_version=1,
            )
            for number, (before, after, direction, when, days) in enumerate(way, 1)
        ]

    def _talk(self, deal_id: str, at: datetime, content: str) -> None:
        self.activities.append(
            Activity(
                id=new_id(),
                kind="call",
                state="done",
                owner_id="rep1",
                unit_id="team1",
                source="history",
                opportunity_id=deal_id,
                started_at=at,
                at=at,
                content=content,
                effective=len(content) >= 10,
                updated_at=at,
            )
        )


def spread(mean_times_ten: int, count: int) -> Iterator[int]:
    """Whole days, `count` of them, whose mean is exact: for 43 and 10, seven times 4 and three times 5."""
    whole, tenths = divmod(mean_times_ten * count, 10)
    assert not tenths, "a mean of whole days"
    low = whole // count
    return (low + (number < whole - low * count) for number in range(count))
