"""GetCardAdoption: a card's own feature before and after it was published, and what became of those who took it up (S94)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.funnel.v1 import practices_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.currency import coins
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import clustered, estimates
from closedloop_funnel.practices import rules, store
from closedloop_funnel.practices.rules import PracticeRules, Side

rpcs = Rpcs("closedloop.funnel.v1.PracticeService")

# Of one closed deal, in the unit beside it.
METRICS = {"win_rate": "1", "won_amount": "", "cycle_days": "d"}


@rpcs.method
async def get_card_adoption(request: pb.GetCardAdoptionRequest, call: Call) -> pb.CardAdoption:
    metric = request.metric_key or "win_rate"
    if metric not in METRICS:
        raise errors.InvalidArgument("METRIC_UNKNOWN", f"there are {', '.join(METRICS)}", {"metric_key": "unknown"})
    card = await store.get(call.db, request.card_id)
    judged_by = call.rules(PracticeRules)
    ways = rules.practised(card.feature_key, card.action_unit_keys, card.features, judged_by.features)
    if card.published_at is None or not ways:
        raise errors.FailedPrecondition("NOT_PUBLISHED", "there was nothing to take up yet")
    span = timedelta(days=judged_by.adoption_days)
    begins, ends = card.published_at - span, min(card.published_at + span, call.now)
    params = {
        **call.scope.params,
        "from": begins,
        "at": card.published_at,
        "day": call.home.day(card.published_at),
        "to": ends,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
    }
    found = await store.sides(call.db, ways, params)
    by_person: defaultdict[str, dict[bool, Side]] = defaultdict(dict)
    for row in found:
        if row["after"] is not None:
            by_person[row["person_id"]][row["after"]] = Side(**row)
    before, after = ([one[side] for one in by_person.values() if side in one] for side in (False, True))
    unit = METRICS[metric] or call.home.currency
    sellers: list[pb.CardAdopter] = []
    taken: list[float] = []
    others: list[float] = []
    for person_id, both in sorted(by_person.items()):
        told, change = _seller(person_id, both, metric, judged_by, call)
        sellers.append(told)
        if change is not None:
            (taken if told.adopted else others).append(change)
    return pb.CardAdoption(
        card_id=card.id,
        feature_key=", ".join(one.key for one in ways),
        least_value=ways[0].least,
        publish_time=protos.timestamp(card.published_at),
        before=Interval(start_time=protos.timestamp(begins), end_time=protos.timestamp(card.published_at)),
        after=Interval(start_time=protos.timestamp(card.published_at), end_time=protos.timestamp(ends)),
        adoption_change=clustered.difference(
            estimates.difference(
                sum(one.hits for one in after),
                sum(one.ended for one in after),
                sum(one.hits for one in before),
                sum(one.ended for one in before),
                judged_by.least_deals,
            ),
            _by_person(after),
            _by_person(before),
        ),
        sellers=sellers,
        metric_key=metric,
        effect=estimates.change_against(taken, others, unit, judged_by.least_adopters),
        under_way_count=sum(row["ended"] for row in found if row["after"] is None),
    )


def _by_person(sides: Sequence[Side]) -> dict[str, list[float]]:
    """1 for a deal that follows the card, else 0."""
    return {one.person_id: [1.0] * one.hits + [0.0] * (one.ended - one.hits) for one in sides}


def _seller(
    person_id: str, both: dict[bool, Side], metric: str, judged_by: PracticeRules, call: Call
) -> tuple[pb.CardAdopter, float | None]:
    """With the change of his result; None where a side has too few closed deals to say."""
    nothing: dict[str, Any] = {
        "person_id": person_id,
        "ended": 0,
        "won": 0,
        "won_minor": 0,
        "cycle_days": None,
        "hits": 0,
    }
    before, after = (both.get(side) or Side(after=side, **nothing) for side in (False, True))
    told = pb.CardAdopter(
        person_id=person_id,
        before=estimates.share(before.hits, before.ended, judged_by.least_ended),
        after=estimates.share(after.hits, after.ended, judged_by.least_ended),
        change=estimates.difference(after.hits, after.ended, before.hits, before.ended, judged_by.least_ended),
    )
    if min(before.ended, after.ended) < judged_by.least_ended:
        return told, None
    told.adopted = rules.took_up(judged_by, before, after)
    was, became = (_result(one, metric, call) for one in (before, after))
    if was is None or became is None:
        return told, None
    told.result_before, told.result_after = was, became
    return told, became - was


def _result(one: Side, metric: str, call: Call) -> float | None:
    if metric == "won_amount":
        return one.won_minor / coins(call.home.currency) / one.ended
    return one.won / one.ended if metric == "win_rate" else one.cycle_days
