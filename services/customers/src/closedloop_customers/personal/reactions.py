"""Requests that wait too long, and data whose time is over."""

from __future__ import annotations

from datetime import timedelta

from closedloop.common.v1.common_pb2 import Light
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_customers import asking, rounds
from closedloop_customers.personal import erasing, store
from closedloop_customers.personal.api import ANSWER
from closedloop_customers.personal.rules import PersonalDataRules

reactions = Reactions()

RETENTION = "customers.personal_retention"


@reactions.clock(ANSWER)
async def unanswered(due: list[Due], work: Work) -> None:
    """The law sets a day; who leads the company is told before it, and when it has passed."""
    for one in due:
        asking.task(
            work,
            kind="intervention",
            warning=f"{ANSWER}_{one.phase}",
            subject_type="personal_data_request",
            subject_id=one.subject,
            title="个人信息请求即将超期" if one.phase == "warn" else "个人信息请求已超期",
            description="个人就其信息提出的请求尚未处理。",
            assignee="manager_of_owner",
            owner_id=one.owner_id,
            unit_id=one.unit_id,
            light=Light.LIGHT_YELLOW if one.phase == "warn" else Light.LIGHT_RED,
            due_time=one.due_time,
            cause_time=one.start_time,
        )


@rounds.every(reactions, RETENTION, lambda work: work.rules(PersonalDataRules).look_every)
async def past_retention(work: Work) -> None:
    """Leads that ended and contacts that left, so long ago that nothing allows us to keep them."""
    rules = work.rules(PersonalDataRules)
    params = {
        "leads_before": rules.kept_until("LeadProfile", work.now),
        "contacts_before": rules.kept_until("ContactProfile", work.now),
        "duty": work.now - timedelta(days=rules.duty_days),
        "personal": sorted(erasing.OF_LEADS),
        "most": rules.largest_look,
    }
    found = [(row["type"], row["id"]) for row in await work.tx.all(store.PAST_RETENTION, params)]
    if found:
        await erasing.erase(work, found)
    work.tx.do(store.FORGET_ACCESSES, {"before": work.now - timedelta(days=rules.access_days)})
