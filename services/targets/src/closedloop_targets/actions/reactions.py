"""Activities prove actions; every morning the day before is closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.data import rows
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets.actions import proving, store
from closedloop_targets.actions.rules import ActionRules
from closedloop_targets.alarms import raising
from closedloop_targets.alarms.raising import Finding

ACTION_DAY = "targets.action_day"
COMPANY = "company"

reactions = Reactions()


@reactions.batch(funnel.ActivityLogged)
async def activities_logged(events: Sequence[Heard[funnel.ActivityLogged]], work: Work) -> None:
    """What an activity proves follows from all that is known of its owner's activities, not from when it was heard."""
    latest = newest(events, lambda one: one.activity_id)
    known = await work.tx.all(store.OWNERS, {"ids": list(latest)})
    told = [_proof(event, work) for event in latest.values()]
    work.tx.do(store.PUT_PROOFS, {"rows": rows.pack(told)})
    await proving.prove(work, {row["owner_id"] for row in (*known, *told)} - {""})


def _proof(event: Heard[funnel.ActivityLogged], work: Work) -> dict[str, Any]:
    told, keys = event.message, set(event.message.verified_action_unit_keys)
    kinds = [kind.code for kind in work.rules(ActionRules).kinds if keys.intersection((kind.code, *kind.unit_keys))]
    at = protos.instant(told.start_time) if told.HasField("start_time") else event.time
    return {
        "activity_id": told.activity_id,
        "owner_id": told.ownership.owner_id,
        "kinds": kinds,
        "subjects": [subject for subject in (told.account_id, told.opportunity_id) if subject],
        "day": work.home.day(at),
        "at": at,
        "effective": told.effective,
        "version": told.version,
    }


@reactions.on(events_pb2.PlanPublished)
async def plan_published(event: Heard[events_pb2.PlanPublished], work: Work) -> None:
    _next_morning(work)


@reactions.timer(ACTION_DAY)
async def day_over(_: Sequence[Rung], work: Work) -> None:
    allowed = work.rules(ActionRules)
    until = work.home.today() - timedelta(days=allowed.grace_days)
    work.tx.do(store.MISS, {"until": until})
    findings = []
    for row in await work.tx.all(store.BEHIND, {"until": until, "least": allowed.behind_after}):
        share = row["done"] / row["due"]
        if share >= allowed.behind_below:
            continue
        findings.append(
            Finding(
                kind="actions_behind",
                light=allowed.behind_light,
                owner_id=row["owner_id"],
                unit_id=row["unit_id"],
                holder_kind="person",
                holder_id=row["owner_id"],
                metric=row["metric"],
                period=row["period"],
                start_date=row["start_date"],
                end_date=row["end_date"],
                message=f"{row['owner_id']}: {row['done']} of {row['due']} actions due by {until} were done ({share:.0%})",
                rule="behind_below",
                rule_version=work.process.rulebooks.version(ActionRules, work.now),
                deviation_ratio=share - 1,
                target_id=row["target_id"],
            )
        )
    unique = {one.cause_key: one for one in findings}
    await raising.raise_(work, list(unique.values()))
    _next_morning(work)


def _next_morning(work: Work) -> None:
    """One timer for the company; one that is set stays."""
    hour, day = time(work.rules(ActionRules).hour), work.home.today()
    moment = work.home.moment(day, hour)
    if moment <= work.now:
        moment = work.home.moment(day + timedelta(days=1), hour)
    work.timers.set(ACTION_DAY, COMPANY, moment)
