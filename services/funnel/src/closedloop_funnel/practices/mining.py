"""MinePractices: what short and profitable deals have in common, held against the others (S94)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format

from closedloop.funnel.v1 import experiments_pb2
from closedloop.funnel.v1 import practices_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import clustered, estimates
from closedloop_funnel.pipelines import scope
from closedloop_funnel.practices import proto, rules, store
from closedloop_funnel.practices.rules import Deal, FeatureRule, Found, PracticeRules
from closedloop_funnel.practices.store import Card

rpcs = Rpcs("closedloop.funnel.v1.PracticeService")


@rpcs.method
async def mine_practices(request: pb.MinePracticesRequest, call: Call) -> pb.MinePracticesResponse:
    begins, ends = protos.bounds(request.period)
    if begins is None or ends is None or ends <= begins:
        raise errors.InvalidArgument(
            "TIMES_REVERSED", "it takes a beginning and an end after it", {"period": "reversed"}
        )
    judged_by, me = call.rules(PracticeRules), call.org.person(call.caller.subject)
    params = {**scope.params(request.scope, call), "from": begins, "to": ends}
    deals = await call.tx.all(store.DEALS, params, into=Deal)
    found = rules.tell_apart(judged_by, deals)
    if len(deals) < judged_by.least_deals or len(found.benchmarks) < judged_by.least_benchmarks:
        raise errors.FailedPrecondition(
            "TOO_LITTLE_DATA",
            f"{len(deals)} won deals and {len(found.benchmarks)} benchmarks; it takes {judged_by.least_deals} and "
            f"{judged_by.least_benchmarks}",
        )
    unit_id = request.scope.unit_id or (me.unit_id if me else "")
    known = {row["feature_key"] for row in await call.tx.all(store.KNOWN, {"unit": unit_id})}
    cards = [
        _card(key, rule, told, unit_id, call)
        for key, rule in judged_by.features.items()
        if key not in known
        and (told := feature(key, rule, found, judged_by)).difference.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    ]
    if not request.validate_only:
        call.tx.do(store.BENCHMARKS, {"ids": [deal.id for deal in found.benchmarks], "now": call.now})
        if cards:
            call.tx.do(store.ADD, {"rows": rows.pack(cards)})
        for card in cards:
            call.audit(card.id, "mine", after=rows.row(card, "version", "updated_at"))
    return pb.MinePracticesResponse(
        deal_count=len(deals),
        benchmark_count=len(found.benchmarks),
        mean_cycle_days=found.mean_days,
        benchmark_cycle_days=judged_by.cycle_share * found.mean_days,
        benchmark_margin_ratio=judged_by.margin,
        benchmark_opportunity_ids=[deal.id for deal in found.benchmarks][:1000],
        proposed_cards=[proto.card(one) for one in cards],
        without_margin_count=found.without_margin,
    )


def feature(key: str, rule: FeatureRule, found: Found, judged_by: PracticeRules) -> pb.PracticeFeature:
    """Deals of one seller are alike: what a single one does in all of his is his habit, and no mark of benchmarks."""
    least = judged_by.least_benchmarks
    mine, theirs = (_by_seller(rule, some) for some in (found.benchmarks, found.others))
    best, others = ([value for own in side.values() for value in own] for side in (mine, theirs))
    told: dict[str, Any]
    if rule.is_share:
        told = {
            "benchmark": estimates.share(int(sum(best)), len(best), least),
            "others": estimates.share(int(sum(others)), len(others), least),
        }
        difference = estimates.difference(int(sum(best)), len(best), int(sum(others)), len(others), least)
    else:
        told = {
            "benchmark": estimates.spread(best, "1", least),
            "others": estimates.spread(others, "1", least),
        }
        difference = estimates.means_apart(best, others, "1", least)
    told["difference"] = clustered.difference(difference, mine, theirs)
    return pb.PracticeFeature(key=key, name=rule.name, **told)


def _by_seller(rule: FeatureRule, deals: Iterable[Deal]) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for deal in deals:
        found[deal.owner_id].append(rules.value(rule, deal))
    return found


def _card(key: str, rule: FeatureRule, feature: pb.PracticeFeature, unit_id: str, call: Call) -> Card:
    return Card(
        id=new_id(),
        title=rule.name,
        method=rule.method,
        feature_key=key,
        features=[json_format.MessageToDict(feature)],
        stage_keys=list(rule.stages),
        action_unit_keys=list(rule.units),
        author_id=call.caller.subject,
        unit_id=unit_id,
        created_at=call.now,
        updated_at=call.now,
    )
