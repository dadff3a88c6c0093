"""Points that nobody spent expire (S56)."""

from __future__ import annotations

from closedloop_chassis.data import rows
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.points import store
from closedloop_funnel.points.rules import PointsRules

NIGHT = "funnel.points"

reactions = Reactions()


@every_day(reactions, NIGHT, lambda work: work.rules(PointsRules).hour)
async def expire(work: Work) -> None:
    setting = work.rules(PointsRules).expire_after
    if setting is None:
        return
    await work.tx.value(store.HOLD_ALL)
    before = work.now - work.calendars.budget(setting)
    version = work.process.rulebooks.version(PointsRules, work.now)
    entries = [
        store.entry(
            row["person_id"],
            row["unit_id"],
            "expiry",
            -row["points"],
            "expired",
            reason=f"not spent since {work.home.day(before)}",
            rule="expire_after",
            rule_version=version,
            author_id=work.actor,
            at=work.now,
        )
        for row in await work.tx.all(store.STALE, {"before": before})
    ]
    if entries:
        work.tx.do(store.BOOK_ALL, {"rows": rows.pack(entries)})
