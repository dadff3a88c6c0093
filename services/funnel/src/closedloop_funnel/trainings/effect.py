"""GetTrainingEffect: who applies it at three months, against people who were not there, and why the others do not (S84)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from statistics import fmean
from typing import Any

from closedloop.funnel.v1 import trainings_pb2 as pb
from closedloop.funnel.v1.experiments_pb2 import Estimate
from closedloop_chassis import errors, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.trainings import rules, store
from closedloop_funnel.trainings.rules import Spoken, TrainingRules
from closedloop_funnel.trainings.store import Training
from closedloop_funnel.words import number

rpcs = Rpcs("closedloop.funnel.v1.TrainingService")

SELLER = "rep"
DAY = timedelta(days=1)


@rpcs.method
async def get_training_effect(request: pb.GetTrainingEffectRequest, call: Call) -> pb.TrainingEffect:
    training = await store.get(call.db, request.training_id)
    call.authorize(training.owner_id, training.unit_id)
    judged_by = call.rules(TrainingRules)
    due = months_later(training.end_date, judged_by.months)
    as_of = protos.day(request.as_of_date, "as_of_date") if request.HasField("as_of_date") else due
    if as_of <= training.end_date:
        raise errors.InvalidArgument("DATE_TOO_EARLY", "the training was still on", {"as_of_date": "before its end"})
    if as_of > call.home.today():
        raise errors.FailedPrecondition("TOO_EARLY", f"it can be said on {as_of}", day=as_of.isoformat())
    others = _others(training, call)
    people = [*training.attendee_ids, *others]
    params = {"people": people, "keys": training.applied_hearing_keys, **_windows(training, as_of, judged_by, call)}
    spoken = {row["person_id"]: Spoken(**row) for row in await store.spoken(call.db, params)}
    trained, compared = ([spoken[one] for one in some] for some in (training.attendee_ids, others))
    judged = rules.judged(judged_by, trained)
    steady = sum(rules.steady(judged_by, one) for one in judged)
    answer = pb.TrainingEffect(
        training_id=training.id,
        as_of_date=protos.date_proto(as_of),
        attendee_count=len(training.attendee_ids),
        judged_count=len(judged),
        applied=estimates.share(steady, len(judged), judged_by.least_people)
        if training.applied_hearing_keys
        else _unnamed(len(judged)),
        effect=estimates.change_against(
            rules.changes(judged_by, trained), rules.changes(judged_by, compared), least=judged_by.least_people
        )
        if training.applied_hearing_keys
        else _unnamed(len(judged)),
        outcomes=await _outcomes(training, others, params, call),
    )
    for row in await call.db.all(store.OBSTACLES, {"id": training.id}):
        answer.obstacles.append(
            pb.ObstacleShare(
                obstacle=number(pb.TrainingObstacle, row["obstacle"]),
                share=estimates.share(row["named"], training.feedback_count, judged_by.least_people),
            )
        )
    answer.case_mismatch.CopyFrom(await _mismatch(training, params, call))
    # Of a share that cannot be said there is no price either.
    if steady and answer.applied.HasField("value") and training.cost_minor is not None:
        answer.cost_per_applied.CopyFrom(protos.money(round(training.cost_minor / steady), training.currency))
    return answer


def _unnamed(cases: int) -> Estimate:
    """What nobody said how to hear was not applied by nobody."""
    return estimates.cannot_say("1", cases, "applied_hearing_keys is empty: nothing says what applying it sounds like")


def months_later(day: date, months: int) -> date:
    """The same day so many months later, or the last one of that month."""
    first = date(day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1, 1)
    last = (first.replace(day=28) + 4 * DAY).replace(day=1) - DAY
    return min(first + (day.day - 1) * DAY, last)


def _others(training: Training, call: Call) -> list[str]:
    """Sellers of the unit it was held for who were not there; of the whole company where it was held for all."""
    there = set(training.attendee_ids)
    return sorted(
        person.id
        for unit_id in call.org.subtree(training.unit_id)
        for person in call.org.members(unit_id)
        if person.active and SELLER in person.roles and person.id not in there
    )


def _windows(training: Training, as_of: date, judged_by: TrainingRules, call: Call) -> dict[str, Any]:
    """As long before it began as before the day it is measured at."""
    window = judged_by.window_days * DAY
    begins, ends, at = (call.home.moment(day) for day in (training.start_date, training.end_date + DAY, as_of + DAY))
    return {
        "before_from": begins - window,
        "before_to": begins,
        "end": ends,
        "after_from": max(at - window, ends),
        "after_to": at,
    }


async def _outcomes(
    training: Training, others: Sequence[str], params: dict[str, Any], call: Call
) -> list[pb.NamedEstimate]:
    """Win rate and cycle: each person's change, attendees against the others. Deals count from the training's end on."""
    judged_by, trained = call.rules(TrainingRules), set(training.attendee_ids)
    # As long before as after, so that both have had their deals.
    span = params["after_to"] - params["end"]
    asked = {**params, "before_from": params["before_to"] - span}
    of: defaultdict[str, dict[bool, dict[str, Any]]] = defaultdict(dict)
    for row in await call.db.all(store.DEALS, asked):
        of[row["person_id"]][row["later"]] = row

    def changes(people: Sequence[str], figure: str) -> list[float]:
        found = []
        for one in people:
            sides = of.get(one, {})
            if len(sides) == 2:
                before, after = (_figure(sides[later], figure) for later in (False, True))
                if before is not None and after is not None:
                    found.append(after - before)
        return found

    return [
        pb.NamedEstimate(
            name=figure,
            estimate=estimates.change_against(
                changes(sorted(trained), figure), changes(others, figure), unit, judged_by.least_people
            ),
        )
        for figure, unit in (("win_rate", "1"), ("cycle_days", "d"))
    ]


def _figure(row: dict[str, Any], figure: str) -> float | None:
    if figure == "win_rate":
        return row["won"] / row["ended"] if row["ended"] else None
    return fmean(row["cycles"]) if row["cycles"] else None


async def _mismatch(training: Training, params: dict[str, Any], call: Call) -> Any:
    judged_by = call.rules(TrainingRules)
    deals: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in await call.db.all(store.CUSTOMERS, params | {"people": training.attendee_ids}):
        deals[row["person_id"]][row["kind"]] = row["deals"]
    told = [rules.mismatched(judged_by, training.customer_types, deals[one]) for one in training.attendee_ids]
    known = [one for one in told if one is not None] if training.customer_types else []
    return estimates.share(sum(known), len(known), judged_by.least_people)
