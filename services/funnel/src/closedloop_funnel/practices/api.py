"""PracticeService: cards, cases, and whether following the cards pays (S94, S96)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.funnel.v1 import practices_pb2 as pb
from closedloop_chassis import errors, etags, masks, pages, protos
from closedloop_chassis.currency import coins
from closedloop_chassis.data import patterns, rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.practices import proto, rules, store
from closedloop_funnel.practices.rules import PracticeRules, Practised
from closedloop_funnel.practices.store import Adopted, Card, Case, Told
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.PracticeService")

PATHS = ("state", "title", "method", "customer_types", "industries", "stage_keys", "action_unit_keys", "case_ids")
METRICS = ("won_amount", "win_rate", "cycle_days")


@rpcs.method
async def update_practice_card(request: pb.UpdatePracticeCardRequest, call: Call) -> pb.PracticeCard:
    before = await store.lock(call.tx, request.card_id)
    call.authorize(before.author_id, before.unit_id)
    etags.check(request.etag, before.version)
    mask = masks.paths(request.update_mask, PATHS)
    empty = sorted(path for path in mask & {"state", "title"} if not getattr(request, path))
    if empty:
        raise errors.InvalidArgument("FIELD_EMPTY", f"a card has a {empty[0]}", {empty[0]: "is empty"})
    changed: dict[str, Any] = {path: getattr(request, path) for path in mask & {"title", "method"}}
    changed |= {path: list(dict.fromkeys(getattr(request, path))) for path in mask - {"state", "title", "method"}}
    if "state" in mask:
        changed["state"] = word(pb.PracticeCardState, request.state)
        if changed["state"] == "published" and before.state != "published":
            changed["published_at"] = call.now
    await _check(changed, call)
    after = replace(before, version=before.version + 1, updated_at=call.now, **changed)
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.audit(after.id, "update", rows.row(before, "version", "updated_at"), rows.row(after, "version", "updated_at"))
    return proto.card(after)


async def _check(changed: dict[str, Any], call: Call) -> None:
    """Raises InvalidArgument STAGE_UNKNOWN, ACTION_UNKNOWN, CASE_UNKNOWN."""
    stages = {
        f"{pipeline_id}/{stage.key}"
        for pipeline_id, pipeline in call.rules(PipelineRules).pipelines.items()
        for stage in pipeline.stages
    }
    known = (
        ("stage_keys", stages, "STAGE_UNKNOWN"),
        ("action_unit_keys", set(call.rules(UnitRules).units), "ACTION_UNKNOWN"),
    )
    for field, there, reason in known:
        strange = sorted(set(changed.get(field, ())) - there)
        if strange:
            raise errors.InvalidArgument(reason, f"nothing here is {strange[0]}", {field: "unknown"})
    cases = changed.get("case_ids", [])
    if cases and await call.tx.value(store.KNOWN_CASES, {"ids": cases}) != len(cases):
        raise errors.InvalidArgument("CASE_UNKNOWN", "not all of them are there", {"case_ids": "unknown"})


@rpcs.method
async def get_practice_card(request: pb.GetPracticeCardRequest, call: Call) -> pb.PracticeCard:
    return proto.card(await store.get(call.db, request.card_id))


@rpcs.method
async def list_practice_cards(request: pb.ListPracticeCardsRequest, call: Call) -> pb.ListPracticeCardsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        "state": word(pb.PracticeCardState, request.state) or "published",
        "customer_type": request.customer_type,
        "industry": request.industry,
        "stage": request.stage_key,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Card)
    page, token = pages.split(found, request, lambda one: [one.updated_at.isoformat(), one.id])
    return pb.ListPracticeCardsResponse(cards=[proto.card(one) for one in page], next_page_token=token)


@rpcs.method
async def get_adoption_report(request: pb.GetAdoptionReportRequest, call: Call) -> pb.AdoptionReport:
    begins, ends = protos.bounds(request.period)
    if begins is None or ends is None or ends <= begins:
        raise errors.InvalidArgument(
            "TIMES_REVERSED", "it takes a beginning and an end after it", {"period": "reversed"}
        )
    metric = request.metric_key or METRICS[0]
    if metric not in METRICS:
        raise errors.InvalidArgument("METRIC_UNKNOWN", f"there are {', '.join(METRICS)}", {"metric_key": "unknown"})
    cards = await call.db.all(store.CARDS, {"id": request.card_id or None}, into=Card)
    if request.card_id and not cards:
        raise errors.NotFound("CARD_UNKNOWN", f"no card {request.card_id}")
    judged_by = call.rules(PracticeRules)
    counted = [ways for card in cards if (ways := _ways(card, judged_by))]
    if not counted:
        raise errors.FailedPrecondition("NOTHING_TO_ADOPT", "no card has a feature, or action units that count instead")
    params: dict[str, Any] = {
        **call.scope.params,
        "from": begins,
        "to": ends,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
    }
    points = [
        pb.AdoptionPoint(group_key=one.group_key, adoption_ratio=one.adoption, result=result, deal_count=one.ended)
        for one in await store.adopted(call.db, counted, params, by_unit=request.by_unit)
        if one.ended >= judged_by.least_ended and (result := _result(one, metric, call)) is not None
    ]
    return pb.AdoptionReport(
        period=request.period,
        points=points,
        correlation=estimates.correlation(
            [one.adoption_ratio for one in points], [one.result for one in points], judged_by.least_groups
        ),
        metric_key=metric,
    )


def _ways(card: Card, judged_by: PracticeRules) -> list[Practised]:
    return rules.practised(card.feature_key, card.action_unit_keys, card.features, judged_by.features)


def _result(one: Adopted, metric: str, call: Call) -> float | None:
    if metric == "won_amount":
        return one.won_minor / coins(call.home.currency)
    return one.won / one.ended if metric == "win_rate" else one.cycle_days


@rpcs.method
async def submit_case(request: pb.SubmitCaseRequest, call: Call) -> pb.PracticeCase:
    deal = await call.tx.one(store.DEAL, {"id": request.opportunity_id})
    if deal is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
    call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    if deal["state"] == "open":
        raise errors.FailedPrecondition("OPPORTUNITY_OPEN", "how it ends is not known yet")
    made = Case(
        id=new_id(),
        author_id=call.caller.subject,
        unit_id=deal["unit_id"],
        opportunity_id=request.opportunity_id,
        title=request.title,
        decision_point=request.decision_point,
        turn=request.turn,
        trick=request.trick,
        customer_type=deal["customer_type"],
        industry=deal["industry"],
        created_at=call.now,
    )
    call.tx.do(store.TELL, {"rows": rows.pack([made])})
    call.audit(made.id, "tell", after=rows.row(made, "decision_point", "turn", "trick"))
    return proto.case(made, benchmark=False)


@rpcs.method
async def list_cases(request: pb.ListCasesRequest, call: Call) -> pb.ListCasesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        "author": request.author_id,
        "deal": request.opportunity_id or None,
        "customer_type": request.customer_type,
        "industry": request.industry,
        "query": request.query,
        "pattern": patterns.containing(request.query),
        "benchmark": request.benchmark_only,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.CASES, params, into=Told)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListCasesResponse(cases=[proto.case(one, benchmark=one.benchmark) for one in page], next_page_token=token)
