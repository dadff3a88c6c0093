"""Verified actions earn; what turns out false is taken back (S56)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from closedloop_chassis.work import Work
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.points import rules, store
from closedloop_funnel.points.rules import PointsRules


async def earn(work: Work, person_id: str, unit_id: str, activity_id: str, unit_keys: Iterable[str]) -> None:
    """Books what the action units, verified in that log, are worth; no round trip where none is."""
    units = work.rules(UnitRules)
    worth = {key: units.units[key].points for key in sorted(set(unit_keys)) if key in units.units}
    if not any(worth.values()):
        return
    # Whoever else books to the same person waits, so that the day's most is the most.
    await store.held(work.tx, person_id)
    since = work.home.moment(work.home.today(unit_id), unit_id=unit_id)
    today = await work.tx.value(store.TODAY, {"person_id": person_id, "since": since})
    version = work.process.rulebooks.version(UnitRules, work.now)
    for key, points in worth.items():
        left = rules.earned(work.rules(PointsRules), points, today)
        if not left:
            continue
        today += left
        await store.book(
            work.tx,
            store.entry(
                person_id,
                unit_id,
                "action",
                left,
                "issued",
                cause_id=f"{activity_id}/{key}",
                reason=units.units[key].name,
                rule=f"units.{key}.points",
                rule_version=version,
                author_id=work.actor,
                at=work.now,
            ),
        )


async def one_at_a_time(work: Work, person_id: str) -> None:
    """For whoever counts what a person earned before he decides what to credit: what is counted is still so when it is booked."""
    await store.held(work.tx, person_id)


async def credit(
    work: Work, person_id: str, unit_id: str, kind: str, points: int, *, cause_id: str, reason: str, **rule: Any
) -> int:
    """Books points earned otherwise than by an action ("learning", "mentoring", "drill"), once for a cause; answers how
    many. `rule` and `rule_version` name the rule of that kind's rulebook."""
    if not points:
        return 0
    await store.held(work.tx, person_id)
    if await work.tx.value(store.CREDITED, {"person_id": person_id, "kind": kind, "cause_id": cause_id}):
        return 0
    entry = store.entry(
        person_id, unit_id, kind, points, "issued", cause_id=cause_id, reason=reason, author_id=work.actor, at=work.now,
        **rule,
    )  # fmt: skip
    await store.book(work.tx, entry)
    return points


async def earn_late(work: Work, person_id: str, unit_id: str, activity_id: str, unit_keys: Iterable[str]) -> None:
    """For a log that may have earned before: what it earned once it does not earn again, even if it was taken back."""
    causes = {f"{activity_id}/{key}": key for key in unit_keys}
    if causes:
        earned = await work.tx.all(store.EARNED_ONCE, {"causes": list(causes)})
        left = [key for cause, key in causes.items() if cause not in {row["cause_id"] for row in earned}]
        await earn(work, person_id, unit_id, activity_id, left)


async def take_back(work: Work, activity_id: str, reason: str, unit_key: str = "") -> None:
    """Reverses what the log had earned, with one action unit or with all, as far as the balance goes: what was spent is spent."""
    cause = f"{activity_id}/{unit_key}".replace("_", "\\_") if unit_key else f"{activity_id}/%"
    for earned in await work.tx.all(store.EARNED_BY, {"cause": cause}, into=store.Entry):
        account = await store.held(work.tx, earned.person_id)
        taken = min(earned.points, account["balance"])
        if taken:
            await store.book(
                work.tx,
                store.entry(
                    earned.person_id,
                    earned.unit_id,
                    "reversal",
                    -taken,
                    "issued",
                    cause_id=activity_id,
                    reason=reason,
                    reverses_entry_id=earned.id,
                    author_id=work.actor,
                    at=work.now,
                ),
            )
