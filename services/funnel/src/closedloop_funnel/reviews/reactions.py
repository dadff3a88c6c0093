"""Every evening the day's new opportunities are held against the team's (S81)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.opportunities import holding
from closedloop_funnel.reviews import store
from closedloop_funnel.reviews.api import INTAKE
from closedloop_funnel.reviews.rules import ReviewRules, burst
from closedloop_funnel.reviews.store import Review
from closedloop_funnel.warnings import raising

EVENING = "funnel.reviews"

reactions = Reactions()


@every_day(reactions, EVENING, lambda work: work.rules(ReviewRules).hour)
async def evening(work: Work) -> None:
    day = work.home.today()
    span = {"from": work.home.moment(day), "to": work.home.moment(day + timedelta(days=1))}
    found = {row["owner_id"]: row for row in await work.tx.all(store.NEW, span)}
    known = {row["owner_id"] for row in await work.tx.all(store.KNOWN, {"day": day})}
    opened = []
    for owner_id, row in found.items():
        if owner_id in known:
            continue
        team, sellers = _team(owner_id, work)
        of_team = sum(found[one]["deals"] for one in sellers if one in found)
        if burst(work.rules(ReviewRules), row["deals"], of_team, len(sellers)):
            opened.append(_review(owner_id, row, team, of_team, len(sellers), day, work))
    if opened:
        work.tx.do(store.ADD, {"rows": rows.pack(opened)})
    for review in opened:
        await holding.hold(work, review.opportunity_ids, review.id)
        task = _task(review, work)
        work.tell(task, review.owner_id)
        person = work.org.person(review.owner_id)
        name = person.name if person else review.owner_id
        warned = raising.of_task("intake_burst", task.content, work, name=name)
        # The review holds the deals; who is warned of is who entered them.
        about = replace(warned, subject_type="person", subject_id=review.owner_id)
        raising.raise_all(work, [replace(about, rulebook=ReviewRules.rulebook, rule="burst_times")])


def _team(owner_id: str, work: Work) -> tuple[str, set[str]]:
    """The nearest unit with enough sellers, and they; the whole company where none has."""
    judged_by, person = work.rules(ReviewRules), work.org.person(owner_id)
    unit_id, sellers = "", {owner_id}
    for unit_id in work.org.ancestry(person.unit_id if person else ""):
        sellers = {owner_id} | {
            one.id
            for below in work.org.subtree(unit_id)
            for one in work.org.members(below)
            if one.active and judged_by.seller_role in one.roles
        }
        if len(sellers) >= judged_by.team_least:
            break
    return unit_id, sellers


def _review(owner_id: str, row: dict[str, Any], team: str, of_team: int, sellers: int, day: date, work: Work) -> Review:
    person, mean = work.org.person(owner_id), of_team / sellers
    return Review(
        id=new_id(),
        kind="intake",
        owner_id=owner_id,
        unit_id=person.unit_id if person else "",
        opportunity_ids=row["ids"],
        day=day,
        evidence=[
            {"name": "new_opportunities", "value": float(row["deals"]), "unit": "1"},
            {"name": "team_mean", "value": mean, "unit": "1"},
            {"name": "team_sellers", "value": float(sellers), "unit": "1"},
        ],
        explanation=f"{row['deals']} new opportunities on {day}, mean of the {sellers} sellers of {team}: {mean:.2f}",
        rule_version=work.process.rulebooks.version(ReviewRules, work.now),
        created_at=work.now,
    )


def _task(review: Review, work: Work) -> approvals.TaskRequested:
    judged_by = work.rules(ReviewRules)
    content = tasks_pb2.TaskContent(
        kind=judged_by.task_kind,
        title=f"商机录入复核: {review.owner_id}"[:200],
        description=review.explanation,
        assignee_role=judged_by.assignee,
        ownership=common_pb2.Ownership(owner_id=review.owner_id, unit_id=review.unit_id),
        origin="funnel",
        cause_key=f"{INTAKE}:{review.id}",
        warning=INTAKE,
        light=common_pb2.LIGHT_YELLOW,
        subject_type="review",
        subject_id=review.id,
        cause_time=protos.timestamp(work.now),
        evidence=[common_pb2.Evidence(**one) for one in review.evidence],
        origin_checks=True,
    )
    return approvals.TaskRequested(content=content)
