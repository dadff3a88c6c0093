"""A stale key customer puts a reminder on its owner's work list (S12)."""

from __future__ import annotations

from closedloop_chassis.work import Work
from closedloop_targets import asking
from closedloop_targets.boards import customers_store as store
from closedloop_targets.boards.rules import LIGHTS, BoardRules

WARNING = "targets.stale_key_customer"


async def remind(work: Work) -> None:
    """Owners of stale key customers, once per rulebook span; whoever moved again is left alone."""
    allowed = work.rules(BoardRules)
    params = {"grades": list(allowed.key_grades), "now": work.now, "days": allowed.stale_after_days}
    for row in await work.tx.all(store.TO_REMIND, {**params, "again": allowed.remind_every_days}):
        stage = f" in stage {row['stage']}" if row["stage"] else ""
        asking.task(
            work,
            kind="follow_up",
            warning=WARNING,
            subject_type="account",
            subject_id=row["id"],
            title=f"{row['name']}: {row['days']} days without movement{stage}",
            description=f"A key customer ({row['grade']}); {allowed.stale_after_days} days without movement are allowed.",
            assignee_id=row["owner_id"],
            owner_id=row["owner_id"],
            unit_id=row["unit_id"],
            light=LIGHTS.index(allowed.stale_light) + 1,
            origin_checks=True,
        )
    for row in await work.tx.all(store.MOVED_AGAIN, params):
        asking.withdraw(work, f"{WARNING}:{row['id']}", row["id"])
